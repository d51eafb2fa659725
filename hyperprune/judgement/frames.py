"""A run, finished or not, as pandas frames with stated columns: no one need read its journal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperprune.errors import HyperpruneError
from hyperprune.judgement.arms import densities
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.standing import load_spectrum, open_run, recipe_of, standing
from hyperprune.judgement.timing import seconds_of
from hyperprune.training.outcome import DENSE, REPEAT, Outcome, repeat_name

if TYPE_CHECKING:
    import pandas as pd

CURVES = (
    "training", "candidate", "arm", "seed", "epoch", "train_loss", "valid_loss", "valid_perplexity",
    "averaging", "distance", "distance_error", "largest_exponent", "lost", "active", "exploration",
    "seconds",
)  # fmt: skip
DENSITIES = ("training", "epoch", "tensor", "weights", "active", "density", "ever_active")
SPECTRA = ("training", "epoch", "index", "layer", "exponent", "standard_error")


class RunData:
    """What a run folder holds, as frames; raises RunError where it is none."""

    def __init__(self, folder: Path | str) -> None:
        self.run = open_run(Path(folder))
        self.recipe = recipe_of(self.run)

    def curves(self) -> pd.DataFrame:
        """A row a training and epoch.

        train_loss, valid_loss: nats per token. distance: LS distance to the dense reference with its
        error, where both are there. largest_exponent: nats per step. lost: directions below the
        resolution. active: weights. exploration: share of masked weights ever active. seconds: on the
        machine that trained.
        """
        seconds = seconds_of(self.run.folder)
        judge = Judge(self.recipe, self.run)
        rows = []
        for name, outcome in self._outcomes():
            candidate, seed, arm = self._identity(name)
            for record in outcome.epochs:
                distance, error = _distance(judge, name, record.epoch)
                rows.append((
                    name, candidate, arm, seed, record.epoch, record.train_loss, record.valid_loss,
                    math.exp(record.valid_loss), record.averaging, distance, error, record.largest,
                    record.lost, record.active if record.topology else None, record.exploration,
                    seconds.get(name, {}).get(record.epoch),
                ))  # fmt: skip
        return _frame(rows, CURVES)

    def densities(self) -> pd.DataFrame:
        """A row a training, epoch and masked tensor: counts of weights, and density = active / weights."""
        rows = []
        for name, outcome in self._outcomes():
            for record in outcome.epochs:
                shares = densities(record)
                for tensor in record.topology.get("tensors", ()):
                    tensor_name = str(tensor["name"])
                    rows.append((
                        name, record.epoch, tensor_name, math.prod(tensor["shape"]),
                        tensor["active"], shares[tensor_name], tensor["ever_active"],
                    ))  # fmt: skip
        return _frame(rows, DENSITIES)

    def spectra(self) -> pd.DataFrame:
        """A row a training, epoch and Lyapunov exponent (nats per step), in the stored order.

        Of the dense reference and of candidates from their first seed; an epoch whose file is gone is
        left out.
        """
        rows = []
        for name, outcome in self._outcomes():
            if REPEAT in name:
                continue
            for record in outcome.epochs:
                try:
                    _, found = load_spectrum(self.run.folder, name, record.epoch)
                except HyperpruneError:
                    continue
                columns = (found.layers, found.exponents, found.standard_error)
                values = zip(*(column.tolist() for column in columns), strict=True)
                rows += [(name, record.epoch, k, *value) for k, value in enumerate(values)]
        return _frame(rows, SPECTRA)

    def candidates(self) -> pd.DataFrame:
        """A row a candidate: all that `CandidateResult` has, and a column a setting by its path."""
        found = standing(self.run.folder).candidates
        rows = [
            {**{k: v for k, v in vars(item).items() if k != "configuration"}, **item.configuration}
            for item in found
        ]
        import pandas as pd

        return pd.DataFrame(rows)

    def trainings(self) -> pd.DataFrame:
        """A row an arm and seed of a study, with its best epoch's perplexities; else without rows."""
        rows = [
            {"arm": arm.name, **{k: v for k, v in vars(item).items() if k != "density"}}
            for arm in standing(self.run.folder).arms
            for item in arm.trainings
        ]
        import pandas as pd

        return pd.DataFrame(rows)

    def _outcomes(self) -> Iterator[tuple[str, Outcome]]:
        for name in (DENSE, *self.run.proposed()):
            numbers = range(2, self.recipe.final.seeds + 1)
            for training in (name, *(repeat_name(name, number) for number in numbers)):
                outcome = self.run.outcome(training)
                if outcome is not None:
                    yield training, outcome

    def _identity(self, training: str) -> tuple[str, int, str]:
        """Candidate, seed and arm of a training."""
        candidate, _, number = training.partition(REPEAT)
        turn = int(number or 1) - 1
        seeds = self.recipe.seeds
        seed = seeds[turn] if seeds else (self.recipe.seed + turn) % 2**63
        labels = {f"c{k:03d}": arm.name for k, arm in enumerate(self.recipe.arms)}
        return candidate, seed, labels.get(candidate, candidate)


def _distance(judge: Judge, name: str, epoch: int) -> tuple[float | None, float | None]:
    if name.startswith(DENSE) or REPEAT in name:
        return None, None
    try:
        found = judge.score(name, epoch)
    except HyperpruneError:  # a spectrum is gone, or nobody offers the distance
        return None, None
    return found.value, found.standard_error


def _frame(rows: list[Any], columns: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(columns))
