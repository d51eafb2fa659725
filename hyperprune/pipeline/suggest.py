"""The next configuration to try, even where the searcher fails."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperprune.errors import HyperpruneError, Stopped
from hyperprune.plugins import Contribution, said
from hyperprune.recipe.section import Choice
from hyperprune.runtime.patience import Silent
from hyperprune.runtime.seeds import derive
from hyperprune.search.draw import untried
from hyperprune.search.observation import Observation, SpaceExhausted, tried_keys
from hyperprune.search.space import Configuration, Space

ATTEMPTS = 2
"""Suggestions asked for, each with another seed, before a random one takes their place."""


@dataclass
class Suggester:
    """Asks a searcher for the next candidate; a searcher that fails costs a notice, not the run.

    Suggestions depend on the seed, the space and what is known, never on a clock or an earlier call. A
    searcher that has said nothing for too long is not asked again: that would take as long each time.
    """

    searcher: Contribution
    suggest: Callable[..., Any]
    space: Space
    seed: int
    complain: Callable[[str], None]
    silent: str = ""

    @classmethod
    def of(
        cls,
        searcher: Contribution,
        choice: Choice,
        space: Space,
        seed: int,
        complain: Callable[[str], None],
    ) -> Suggester:
        """A searcher with its options; raises PluginError for options that it does not take."""
        return cls(searcher, searcher.bind(choice.options), space, seed, complain)

    def ask(
        self, name: str, history: Sequence[Observation], pending: Sequence[Configuration]
    ) -> dict[str, Any]:
        """Configuration of the next candidate; raises SpaceExhausted where there is nothing left."""
        problem = self.silent
        for attempt in range(0 if self.silent else ATTEMPTS):
            seed = derive(self.seed, "search", *([attempt] if attempt else []))
            try:
                answer = self.suggest(self.space, tuple(history), tuple(pending), seed)
            except (SpaceExhausted, Stopped):
                raise
            except Exception as error:
                problem = str(error) if isinstance(error, HyperpruneError) else said(error)
                if isinstance(error.__cause__, Silent):
                    self.silent = problem = f"{problem}, and is not asked again in this sitting"
                    break
            else:
                problem = self._problem(answer)
                if not problem:
                    return dict(answer)
        self.complain(
            f"searcher {self.searcher.name!r} of {self.searcher.package} has no configuration for "
            f"{name}: {problem}; a random one takes its place"
        )
        rng = random.Random(derive(self.seed, "instead of", name))
        return untried(self.space, tried_keys(history, pending), rng)

    def _problem(self, answer: Any) -> str:
        """What is wrong with an answer; nothing where it is a configuration of the space."""
        if not isinstance(answer, Mapping):
            return f"it returned {type(answer).__name__}, not settings by their paths"
        try:
            json.dumps(dict(answer), allow_nan=False)
            fits = self.space.contains(answer)
        except (TypeError, ValueError, RecursionError):
            fits = False
        return "" if fits else f"its {str(dict(answer))[:200]} lies outside the recipe's space"
