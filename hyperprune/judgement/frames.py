"""A run, finished or not, as pandas frames with stated columns: no one need read its journal."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperprune.errors import HyperpruneError
from hyperprune.judgement.arms import densities
from hyperprune.judgement.judge import Judge
from hyperprune.judgement.standing import load_spectrum, open_run, recipe_of, standing
from hyperprune.judgement.timing import seconds_of
from hyperprune.store.kept import kept_tensors, training_name
from hyperprune.training.outcome import DENSE, Outcome, is_further, repeat_name, repeat_of

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

_TRAINING = "name of the training: dense, c000, …; from its second seed c000-s2"
_METRIC = "what values are told in, such as perplexity"
_ACTIVE = "weights that are not masked, of the masked tensors; none where nothing is masked"
_EXPLORATION = "share of the masked weights that were ever active"
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "curves": {
        "training": _TRAINING,
        "candidate": "the candidate that it trains; dense for the dense reference",
        "arm": "its name in a study; else the candidate's",
        "seed": "what its random draws begin from",
        "epoch": "finished epochs",
        "train_loss": "training loss, in the unit of the task: nats per token of a language model",
        "valid_loss": "validation loss, in the same unit",
        "valid_value": "the metric on validation",
        "metric": _METRIC,
        "averaging": "whether weights were being averaged",
        "distance": "LS distance to the dense reference, by the recipe's spectrum.distance",
        "distance_error": "its standard error",
        "largest_exponent": "largest Lyapunov exponent, nats per step",
        "lost": "exponents below the resolution, mean over sequences",
        "active": _ACTIVE,
        "exploration": _EXPLORATION,
        "seconds": "seconds of the epoch on the machine that trained it; none where it is not known",
    },
    "densities": {
        "training": _TRAINING,
        "epoch": "finished epochs",
        "tensor": "name of the masked tensor",
        "weights": "entries of the tensor",
        "active": "of them not masked",
        "density": "active / weights",
        "ever_active": "of them active at any time",
    },
    "spectra": {
        "training": _TRAINING,
        "epoch": "finished epochs",
        "index": "place in the spectrum as it is stored, from 0",
        "layer": "layer of the network that the exponent belongs to, from 0",
        "exponent": "Lyapunov exponent, nats per step, mean over sequences",
        "standard_error": "its standard error over sequences",
    },
    "candidates": {
        "name": "name of the candidate",
        "state": "winner, finalist, eliminated, failed, or unfinished",
        "epochs": "finished epochs",
        "distance": "LS distance to the dense reference when last judged",
        "distance_error": "its standard error",
        "distance_noise": "the same distance between halves of one network's own sequences",
        "valid_value": "the metric on validation, best of its epochs",
        "metric": _METRIC,
        "best_epoch": "the epoch that reached it",
        "met_target": "first epoch that was as good as the dense reference",
        "cause": "why it failed",
        "lost": "exponents below the resolution, mean over sequences",
        "dense_lost": "of the dense spectrum that it was held against",
        "exponents": "how many exponents there are",
        "rests_on": "exponents that make up nine tenths of the squared differences",
    },
    "trainings": {
        "arm": "name of the arm; dense for the dense network",
        "training": _TRAINING,
        "seed": "what its random draws begin from",
        "epochs": "finished epochs",
        "valid_value": "the metric on validation, best of its epochs",
        "test_value": "the metric on test at that epoch; none until the run has ended",
        "metric": _METRIC,
        "best_epoch": "that epoch",
        "active": _ACTIVE,
        "masked": "entries of the masked tensors",
        "exploration": _EXPLORATION,
        "cause": "why it failed",
    },
}
"""What each frame's columns hold, and in which unit.

`candidates` has besides a column a setting, by its path.
"""
WHOLE = {"epochs", "active", "masked", "weights", "ever_active", "exponents", "rests_on"} | {
    "seed", "epoch", "best_epoch", "met_target", "index", "layer",
}  # fmt: skip
"""Columns of whole numbers."""


class RunData:
    """What a run folder holds, whether its run has ended or not; raises RunError where it is none.

    Frames have the columns that `COLUMNS` states, also where they have no rows; what is not known is
    missing (`NaN`, `NA` or `None`).
    """

    def __init__(self, folder: Path | str) -> None:
        self.run = open_run(Path(folder))
        self.recipe = recipe_of(self.run)

    def curves(self) -> pd.DataFrame:
        """A row a training and epoch: losses, the metric, LS distance, density, seconds."""
        seconds = seconds_of(self.run.folder)
        judge = Judge(self.recipe, self.run)
        metric = self.run.metric
        rows = []
        for name, outcome in self._outcomes():
            candidate, seed, arm = self._identity(name)
            for record in outcome.epochs:
                distance, error = _distance(judge, name, record.epoch)
                rows.append(
                    {
                        "training": name,
                        "candidate": candidate,
                        "arm": arm,
                        "seed": seed,
                        "epoch": record.epoch,
                        "train_loss": record.train_loss,
                        "valid_loss": record.valid_loss,
                        "valid_value": metric.value(record.cost),
                        "metric": metric.name,
                        "averaging": record.averaging,
                        "distance": distance,
                        "distance_error": error,
                        "largest_exponent": record.largest,
                        "lost": record.lost,
                        "active": record.active if record.topology else None,
                        "exploration": record.exploration,
                        "seconds": seconds.get(name, {}).get(record.epoch),
                    }
                )
        return _frame("curves", rows)

    def densities(self) -> pd.DataFrame:
        """A row a training, epoch and masked tensor: how many of its weights are active."""
        rows = []
        for name, outcome in self._outcomes():
            for record in outcome.epochs:
                shares = densities(record)
                for tensor in record.topology.get("tensors", ()):
                    rows.append(
                        {
                            "training": name,
                            "epoch": record.epoch,
                            "tensor": tensor["name"],
                            "weights": math.prod(tensor["shape"]),
                            "active": tensor["active"],
                            "density": shares[tensor["name"]],
                            "ever_active": tensor["ever_active"],
                        }
                    )
        return _frame("densities", rows)

    def spectra(self) -> pd.DataFrame:
        """A row a training, epoch and Lyapunov exponent, in the stored order.

        Of the dense reference and of candidates from their first seed; an epoch whose file is gone is
        left out.
        """
        rows = []
        for name, outcome in self._outcomes():
            if is_further(name):
                continue
            for record in outcome.epochs:
                try:
                    _, found = load_spectrum(self.run.folder, name, record.epoch)
                except HyperpruneError:
                    continue
                columns = (found.layers, found.exponents, found.standard_error)
                values = zip(*(column.tolist() for column in columns), strict=True)
                rows += [
                    {
                        "training": name,
                        "epoch": record.epoch,
                        "index": index,
                        "layer": layer,
                        "exponent": exponent,
                        "standard_error": error,
                    }
                    for index, (layer, exponent, error) in enumerate(values)
                ]
        return _frame("spectra", rows)

    def candidates(self) -> pd.DataFrame:
        """A row a candidate: how far it came, and a column a setting by its path."""
        found = standing(self.run).candidates
        paths = dict.fromkeys(path for item in found for path in item.configuration)
        settings = {
            path: _setting([item.configuration.get(path) for item in found]) for path in paths
        }
        metric = self.run.metric.name
        frame = _frame("candidates", [{**vars(item), "metric": metric} for item in found])
        return frame.assign(**settings)

    def trainings(self) -> pd.DataFrame:
        """A row an arm and seed of a study, with its best epoch's values; without rows for a search."""
        metric = self.run.metric.name
        return _frame(
            "trainings",
            [
                {
                    **vars(item),
                    "arm": arm.name,
                    "training": item.name,
                    "valid_value": item.valid,
                    "test_value": item.test,
                    "metric": metric,
                }
                for arm in standing(self.run).arms
                for item in arm.trainings
            ],
        )

    def weights(self, name: str) -> Mapping[str, Tensor]:
        """Weights of a training at its best epoch, by tensor, on the CPU; an arm's name does as well.

        Nothing is built and no plugin runs, so it serves networks of any task. Raises RunError where
        there is no such training, or its weights were not kept.
        """
        return kept_tensors(self.run, training_name(self.run, name))[0]

    def masks(self, name: str) -> Mapping[str, Tensor]:
        """Masks of a training at its best epoch, by tensor; none of the dense network. See `weights`."""
        return kept_tensors(self.run, training_name(self.run, name))[1]

    def _outcomes(self) -> Iterator[tuple[str, Outcome]]:
        for name in (DENSE, *self.run.proposed()):
            numbers = range(2, self.recipe.final.seeds + 1)
            for training in (name, *(repeat_name(name, number) for number in numbers)):
                outcome = self.run.outcome(training)
                if outcome is not None:
                    yield training, outcome

    def _identity(self, training: str) -> tuple[str, int, str]:
        """Candidate, seed and arm of a training."""
        candidate, number = repeat_of(training)
        name = self.recipe.arm_names.get(candidate, candidate)
        return candidate, self.recipe.seed_of(number), name


def _distance(judge: Judge, name: str, epoch: int) -> tuple[float | None, float | None]:
    if is_further(name) or name == DENSE:
        return None, None
    try:
        found = judge.score(name, epoch)
    except HyperpruneError:  # a spectrum is gone, or nobody offers the distance
        return None, None
    return found.value, found.standard_error


def _setting(values: list[Any]) -> list[Any]:
    """Values of one setting as one kind: numbers, or text with tables as JSON."""
    known = [value for value in values if value is not None]
    if all(isinstance(value, (int, float)) for value in known):
        return values
    return [v if v is None or isinstance(v, str) else json.dumps(v) for v in values]


def _frame(name: str, rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Rows with the columns that are stated, whole numbers as such where some are missing."""
    import pandas as pd

    columns = list(COLUMNS[name])
    frame = pd.DataFrame([[row[key] for key in columns] for row in rows], columns=columns)
    return frame.astype({key: "Int64" for key in columns if key in WHOLE})
