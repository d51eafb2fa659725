"""What finalists come to in int8: rounded as they are, and trained on as int8 holds them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Int8Point:
    """A finalist's values on the validation split: in float32, rounded to int8, and trained on as int8.

    `tuned` says whether int8 files hold the weights that were trained on; else the rounded ones are at
    least as good, or that training failed.
    """

    name: str
    valid_value: float
    rounded_value: float
    tuned_value: float | None
    tuned: bool


@dataclass(frozen=True)
class Int8Verdict:
    """Finalists as int8, in the order of their names, and the winner's int8 weights on the test split."""

    epochs: int  # of that training
    test_value: float
    finalists: tuple[Int8Point, ...]

    @property
    def after(self) -> str:
        """How long finalists were trained as int8, in words."""
        return f"{self.epochs} epoch{'s' if self.epochs > 1 else ''}"

    def point(self, name: str) -> Int8Point | None:
        """A finalist's values; None of whom nothing was trained."""
        return next((item for item in self.finalists if item.name == name), None)
