"""A multi-fidelity search with a model, of a known library: SMAC3 (Lindauer et al., JMLR 2022).

Hyperband's brackets, filled by a random forest's expected improvement, over losses at several epochs. The
library is no dependency: `pip install 'hyperprune[bench]'`. It is asked and told, and writes nothing that
stays.
"""

from __future__ import annotations

import importlib.util
import logging
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hyperprune.bench.signals import Study
from hyperprune.runtime.quiet import quiet
from hyperprune.search.space import Configuration, Range, Space

INITIAL = 8
"""Configurations drawn at first, as by the default searcher; SMAC's ten a setting leave none to model."""
LEVELS = 3
"""Numbers of epochs that brackets begin at, a third of one another: from the whole budget downwards."""
DRAWS = 1000
"""Configurations that the model rates; SMAC's own local search depends on Python's hash seed."""
ASKED = 1000


def installed() -> bool:
    """Whether the library is there."""
    return importlib.util.find_spec("smac") is not None


def asking(study: Study, seed: int) -> Iterator[tuple[Configuration, int, Callable[[float], None]]]:
    """What SMAC wants trained next, until which epoch, and how to tell it the loss."""
    with quiet():
        from joblib import parallel_config
        from smac import MultiFidelityFacade, Scenario
        from smac.acquisition.maximizer import RandomSearch
        from smac.main.exceptions import ConfigurationSpaceExhaustedException
        from smac.runhistory.dataclasses import TrialValue
    logging.getLogger("smac").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        scenario = Scenario(
            _space(study.space, seed),
            deterministic=True,
            n_trials=ASKED,
            min_budget=max(1, study.epochs / 3 ** (LEVELS - 1)),
            max_budget=study.epochs,
            seed=seed,
            output_directory=Path(folder),
        )
        facade = MultiFidelityFacade(
            scenario,
            _never,
            acquisition_maximizer=RandomSearch(scenario.configspace, challengers=DRAWS, seed=seed),
            initial_design=MultiFidelityFacade.get_initial_design(scenario, n_configs=INITIAL),
            logging_level=False,  # its own set-up silences every logger that there is
            overwrite=True,
        )
        for _ in range(ASKED):
            try:
                # The forest would wait ten times longer for threads.
                with parallel_config(backend="sequential"):
                    trial = facade.ask()
            except ConfigurationSpaceExhaustedException:
                return
            configuration = _configuration(study.space, dict(trial.config))

            def tell(loss: float, trial: Any = trial) -> None:
                facade.tell(trial, TrialValue(cost=loss), save=False)

            yield configuration, round(trial.budget), tell


def _never(config: Any, seed: int = 0, budget: float = 0.0) -> float:
    """What SMAC would train by itself, and is never asked to."""
    raise NotImplementedError


def _space(space: Space, seed: int) -> Any:
    """The space as ConfigSpace has it: a share of a range, or a place among values."""
    from ConfigSpace import Categorical, ConfigurationSpace, Float

    found = ConfigurationSpace(seed=seed)
    for index, dimension in enumerate(space.dimensions):
        domain = dimension.domain
        if isinstance(domain, Range):
            found.add(Float(f"x{index}", (0.0, 1.0)))
        else:
            found.add(Categorical(f"x{index}", [str(k) for k in range(len(domain.values))]))
    return found


def _configuration(space: Space, asked: dict[str, Any]) -> Configuration:
    """What was asked for, without settings that do not count beside the others."""
    found: dict[str, Any] = {}
    for index, dimension in enumerate(space.dimensions):
        value, domain = asked[f"x{index}"], dimension.domain
        if dimension.active(found):
            if isinstance(domain, Range):
                found[dimension.path] = domain.at(min(float(value), 1 - 1e-12))
            else:
                found[dimension.path] = domain.values[int(value)]
    return found
