"""Tree-structured Parzen estimator (Bergstra et al. 2011) through Optuna, as a pure function.

A study is made anew for every suggestion, from what is known alone: measured candidates as finished
trials, failed ones as the worst that was measured, pending ones as the worst too, so that no two
workers are sent to one place (the "constant liar" of Ginsbourger et al. 2010).
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hyperprune import hookimpl
from hyperprune.hookspecs import Contributions

if TYPE_CHECKING:
    import optuna

    from hyperprune.search.observation import Observation
    from hyperprune.search.space import Configuration, Range, Space, Values

REDRAWS = 20
"""Suggestions of the model that may repeat what was tried, before a new one is drawn by lot."""
LISTED = 4096


def tpe(
    space: Space,
    history: Sequence[Observation],
    pending: Sequence[Configuration],
    seed: int,
    *,
    startup: Annotated[int, Field(ge=1, description="candidates drawn by lot at first")] = 10,
    draws: Annotated[int, Field(ge=1, description="draws that the model chooses among")] = 24,
) -> dict[str, Any]:
    """Tree-structured Parzen estimator: Bergstra et al. 2011, by Optuna. Never suggests twice."""
    import optuna

    from hyperprune.search.observation import SpaceExhausted
    from hyperprune.search.space import key_of

    tried = {key_of(item.configuration) for item in history} | {key_of(item) for item in pending}
    if space.size is not None and space.size <= len(tried):
        raise SpaceExhausted("every configuration of the space has been tried")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    known = trials(space, history, pending)
    for redraw in range(REDRAWS):
        draw = random.Random(f"{seed}/{len(tried)}/{redraw}").randrange(2**31)
        sampler = optuna.samplers.TPESampler(
            n_startup_trials=startup, n_ei_candidates=draws, seed=draw
        )
        study = optuna.create_study(sampler=sampler, direction="minimize")
        study.add_trials(known)
        configuration = suggest(space, study.ask())
        if key_of(configuration) not in tried:
            return configuration
    return by_lot(space, tried, random.Random(f"{seed}/{len(tried)}"))


def suggest(space: Space, trial: optuna.Trial) -> dict[str, Any]:
    """Ask for every active setting, in order."""
    configuration: dict[str, Any] = {}
    for dimension in space.dimensions:
        if dimension.active(configuration):
            configuration[dimension.path] = choose(trial, dimension.path, dimension.domain)
    return configuration


def choose(trial: optuna.Trial, path: str, domain: Values | Range) -> Any:
    """Ask for one setting; floats keep six digits, as hyperprune writes them."""
    from hyperprune.search.space import Values

    if isinstance(domain, Values):
        told = trial.suggest_categorical(path, [text_of(value) for value in domain])
        return next(value for value in domain if text_of(value) == told)
    if domain.integer:
        return trial.suggest_int(path, int(domain.low), int(domain.high), log=domain.log)
    drawn = trial.suggest_float(path, domain.low, domain.high, log=domain.log)
    return min(max(float(f"{drawn:.6g}"), domain.low), domain.high)


def trials(
    space: Space, history: Sequence[Observation], pending: Sequence[Configuration]
) -> list[optuna.trial.FrozenTrial]:
    """What is known, as finished trials."""
    import optuna

    values = [item.value for item in history if item.value is not None]
    worst = max(values, default=0.0)
    told = [(item.configuration, worst if item.value is None else item.value) for item in history]
    told += [(configuration, worst) for configuration in pending]
    made = []
    for configuration, value in told:
        domains = {
            item.path: item.domain for item in space.dimensions if item.path in configuration
        }
        made.append(
            optuna.trial.create_trial(
                params={
                    path: write(domain, configuration[path]) for path, domain in domains.items()
                },
                distributions={path: distribution(domain) for path, domain in domains.items()},
                value=value,
            )
        )
    return made


def distribution(domain: Values | Range) -> optuna.distributions.BaseDistribution:
    """Optuna's form of a domain; listed values go by their JSON text, which any value has."""
    from optuna import distributions

    from hyperprune.search.space import Values

    if isinstance(domain, Values):
        return distributions.CategoricalDistribution([text_of(value) for value in domain])
    if domain.integer:
        return distributions.IntDistribution(int(domain.low), int(domain.high), log=domain.log)
    return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)


def write(domain: Values | Range, value: Any) -> Any:
    """A setting as Optuna is told it."""
    from hyperprune.search.space import Values

    return text_of(value) if isinstance(domain, Values) else value


def text_of(value: Any) -> str:
    """Canonical JSON of a value."""
    plain = dict(value) if isinstance(value, Mapping) else value
    return json.dumps(plain, sort_keys=True)


def by_lot(space: Space, tried: set[str], rng: random.Random) -> dict[str, Any]:
    """Draw what was not tried; the model keeps proposing what was."""
    from hyperprune.search.space import key_of

    if space.size is not None and space.size <= LISTED:
        return rng.choice([item for item in space.enumerate() if key_of(item) not in tried])
    while True:
        drawn = space.sample(rng)
        if key_of(drawn) not in tried:
            return drawn


@hookimpl
def hyperprune_searchers() -> Contributions:
    """Offer the searcher."""
    return {"tpe": tpe}
