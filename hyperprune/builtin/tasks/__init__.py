"""Shipped tasks: light factories that import torch only when a task is made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hyperprune.hookspecs import Contributions

if TYPE_CHECKING:
    from hyperprune.corpus import Corpus, Sequences
    from hyperprune.task import Task


def language_modelling(data: Corpus | Sequences) -> Task:
    """Foretell the next word of a text: nats per token, told as perplexity."""
    from hyperprune.builtin.tasks.language import LanguageModelling

    return LanguageModelling(data)


def classification(
    data: Corpus | Sequences, *, metric: Literal["accuracy", "error_rate"] = "accuracy"
) -> Task:
    """Name the class of every sequence, or of every step: cross entropy, told as accuracy."""
    from hyperprune.builtin.tasks.classification import Classification

    return Classification(data, metric)


def regression(
    data: Corpus | Sequences, *, loss: Literal["squared", "absolute"] = "squared"
) -> Task:
    """Answer with the numbers of every sequence, or of every step: mean squared or absolute error."""
    from hyperprune.builtin.tasks.regression import Regression

    return Regression(data, loss, "regression")


def forecasting(
    data: Corpus | Sequences,
    *,
    horizon: Annotated[int, Field(ge=1)] = 1,
    loss: Literal["squared", "absolute"] = "squared",
) -> Task:
    """Foretell every feature of a series `horizon` steps ahead: mean squared or absolute error."""
    from hyperprune.builtin.tasks.regression import Forecasting

    return Forecasting(data, loss, horizon, "forecasting")


TASKS: Contributions = {
    "language_modelling": language_modelling,
    "classification": classification,
    "regression": regression,
    "forecasting": forecasting,
}
