"""The only importer of Ax: a Gaussian process over what was measured, which rates configurations."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hyperprune.runtime.quiet import quiet
from hyperprune.runtime.threads import torch_threads
from hyperprune.search.observation import Observation
from hyperprune.search.space import Configuration, Dimension, Range, Space, Values, key_of


@contextmanager
def reproducibly(seed: int) -> Iterator[None]:
    """One thread and a seed of its own: the last digits depend on both."""
    from ax.utils.common.random import with_rng_seed

    with torch_threads(1), with_rng_seed(seed % 2**32):
        yield


with quiet():
    import pandas as pd
    from ax.adapter.registry import Generators
    from ax.adapter.torch import TorchAdapter
    from ax.core.arm import Arm
    from ax.core.data import Data
    from ax.core.experiment import Experiment
    from ax.core.metric import Metric
    from ax.core.objective import MultiObjective, Objective
    from ax.core.observation import ObservationFeatures
    from ax.core.optimization_config import (
        MultiObjectiveOptimizationConfig,
        OptimizationConfig,
    )
    from ax.core.outcome_constraint import OutcomeConstraint
    from ax.core.parameter import ChoiceParameter, Parameter, ParameterType, RangeParameter
    from ax.core.search_space import SearchSpace
    from ax.core.types import ComparisonOp
    from ax.generators.torch.botorch_modular.surrogate import SurrogateSpec
    from ax.generators.torch.botorch_modular.utils import ModelConfig
    from botorch.acquisition.multi_objective import logei
    from botorch.models import SingleTaskGP
    from botorch.optim.fit import fit_gpytorch_mll_scipy
    from linear_operator.utils.errors import NotPSDError

# BoTorch would compile a kernel of its own at its first multi-objective rating, for half a minute of
# processor time, where it finds a compiler. It saves tenths of a second on pools as small as ours, and a
# suggestion would depend on whether it is there.
logei._load_attempted = True

OBJECTIVE = "objective"
SIZE = "size"


class BriefGP(SingleTaskGP):
    """Ax's usual Gaussian process, its likelihood not polished beyond what a choice can feel."""

    def custom_fit(self, mll: Any, **_: Any) -> Any:
        """Fit by L-BFGS; where the likelihood cannot be evaluated, the priors' modes stand."""
        mll.train()
        start = copy.deepcopy(mll.state_dict())
        try:
            fit_gpytorch_mll_scipy(mll, options={"ftol": 1e-4, "maxiter": 100})
        except NotPSDError:
            mll.load_state_dict(start)
        return mll.eval()


SURROGATE = SurrogateSpec(
    model_configs=[ModelConfig(botorch_model_class=BriefGP)],
    allow_batched_models=False,  # each metric has a model of its own
)


class Rating:
    """A model of what was measured, that says how much trying a configuration promises.

    Of the objective alone, by noisy log expected improvement; where observations have a point, of its
    score and its size: by noisy expected hypervolume improvement (Daulton et al. 2021), or with a bound
    by the improvement in size of what is likely to be within it.
    """

    def __init__(
        self,
        space: Space,
        history: Sequence[Observation],
        pending: Sequence[Configuration],
        *,
        seed: int,
    ) -> None:
        self.seed = seed
        self.varying = [item for item in space.dimensions if _varies(item)]
        points = [item.point for item in history if item.value is not None]
        self.metrics = (OBJECTIVE, SIZE) if points and None not in points else (OBJECTIVE,)
        bound = next((item.bound for item in history if item.bound is not None), None)
        with quiet(), reproducibly(seed):
            experiment = _experiment(self.varying, self.metrics, bound)
            self._attach(experiment, history)
            adapter = Generators.BOTORCH_MODULAR(
                experiment=experiment, data=experiment.lookup_data(), surrogate_spec=SURROGATE
            )
        assert isinstance(adapter, TorchAdapter)
        self.adapter = adapter
        # Each metric has objects of its own: Ax transforms them in place, metric by metric.
        self.pending = {
            name: [self._features(item) for item in pending] for name in self.metrics if pending
        } or None

    def best(self, configurations: Iterable[Configuration]) -> dict[str, Any]:
        """Return the configuration that promises most, the first of equals."""
        pool = list(configurations)
        with quiet(), reproducibly(self.seed):
            values = self.adapter.evaluate_acquisition_function(
                observation_features=[[self._features(item)] for item in pool],
                pending_observations=self.pending,
            )
        return dict(pool[max(range(len(pool)), key=values.__getitem__)])

    def _features(self, configuration: Configuration) -> ObservationFeatures:
        return ObservationFeatures(parameters=self._parameters(configuration))

    def _parameters(self, configuration: Configuration) -> dict[str, Any]:
        """Flat parameters; a setting that does not count stands at the middle of its domain."""
        return {
            _name(index): _encode(item, configuration.get(item.path, item.domain.at(0.5)))
            for index, item in enumerate(self.varying)
        }

    def _attach(self, experiment: Experiment, history: Sequence[Observation]) -> None:
        measured = [self._measured(item) for item in history if item.value is not None]
        errors = [item.standard_error for item in history if item.value is not None]
        known = all(error is not None and error > 0 for error in errors)
        worst = {name: max(values[name] for values in measured) for name in self.metrics}
        history = list({key_of(item.configuration): item for item in history}.values())
        trial = experiment.new_batch_trial()
        arms = [
            Arm(self._parameters(item.configuration), name=f"{trial.index}_{index}")
            for index, item in enumerate(history)
        ]
        trial.add_arms_and_weights(arms)
        rows = [
            {
                "trial_index": trial.index,
                "arm_name": arm.name,
                "metric_name": name,
                "metric_signature": name,
                "mean": value,
                "sem": (item.standard_error or max(e or 0.0 for e in errors)) if known else None,
            }
            for arm, item in zip(arms, history, strict=True)
            for name, value in (worst if item.value is None else self._measured(item)).items()
        ]
        trial.mark_running(no_runner_required=True)
        experiment.attach_data(Data(df=pd.DataFrame(rows)))
        trial.mark_completed()

    def _measured(self, item: Observation) -> dict[str, float]:
        """What is modelled of a candidate that did not fail."""
        if item.point is None or len(self.metrics) == 1:
            assert item.value is not None
            return {OBJECTIVE: item.value}
        return {OBJECTIVE: item.point.score, SIZE: item.point.size}


def _experiment(
    varying: Sequence[Dimension], metrics: Sequence[str], bound: float | None
) -> Experiment:
    return Experiment(
        name="hyperprune",
        search_space=SearchSpace([_parameter(_name(k), item) for k, item in enumerate(varying)]),
        optimization_config=_aim(metrics, bound),
    )


def _aim(metrics: Sequence[str], bound: float | None) -> OptimizationConfig:
    """What to minimise: one metric, both, or the size of what keeps within a bound."""
    measured = [Metric(name=name, lower_is_better=True) for name in metrics]
    lower = [Objective(metric=metric, minimize=True) for metric in measured]
    if len(lower) == 1:
        return OptimizationConfig(objective=lower[0])
    score, size = lower
    if bound is None:
        return MultiObjectiveOptimizationConfig(objective=MultiObjective([score, size]))
    within = OutcomeConstraint(metric=measured[0], op=ComparisonOp.LEQ, bound=bound, relative=False)
    return OptimizationConfig(objective=size, outcome_constraints=[within])


def _varies(dimension: Dimension) -> bool:
    return dimension.domain.size != 1


def _name(index: int) -> str:
    return f"x{index}"


def _ordered(dimension: Dimension) -> bool:
    domain = dimension.domain
    return isinstance(domain, Range) or all(
        isinstance(value, (int, float)) and not isinstance(value, bool) for value in domain.values
    )


def _encode(dimension: Dimension, value: Any) -> float | str:
    """A setting as Ax sees it: its share of a range, its place among numbers, or a word.

    Ax refuses ranges narrower than 1.5e-5 and knows no numbers beyond floats; on the unit interval,
    logarithmic where the recipe asks for that, all ranges are alike.
    """
    domain = dimension.domain
    if isinstance(domain, Range):
        return min(max(domain.share(value), 0.0), 1.0)
    if _ordered(dimension):
        return float(sorted(domain.values).index(value))
    return key_of({"": value})


def _parameter(name: str, dimension: Dimension) -> Parameter:
    domain = dimension.domain
    if isinstance(domain, Values):
        ordered = _ordered(dimension)
        kind = ParameterType.FLOAT if ordered else ParameterType.STRING
        values: list[Any] = [_encode(dimension, value) for value in domain.values]
        return ChoiceParameter(name, kind, values, is_ordered=ordered, sort_values=ordered)
    return RangeParameter(name, ParameterType.FLOAT, 0.0, 1.0)
