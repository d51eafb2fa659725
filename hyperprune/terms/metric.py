"""What the quality of a trained network is told in: perplexity is one metric among others.

Everything that is compared is a *cost*, of which less is better; a metric says how people read it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

LARGE = 1e6
"""From here on values are told by their digits, not by their places."""
LARGEST_EXPONENT = 700.0


@dataclass(frozen=True)
class Metric:
    """How a cost is told to people, and under which name.

    `name` and `plural` are words joined by `_`, as keys of JSON have them. `of` is how a value follows
    from the cost: itself, its exp, or 1 less it. `form` is Python's format of a value, `unit` what
    stands behind it.
    """

    name: str
    plural: str
    of: Literal["cost", "exp", "complement"] = "cost"
    form: str = ".4g"
    unit: str = ""

    @property
    def better(self) -> Literal["lower", "higher"]:
        """Which values are better."""
        return "higher" if self.of == "complement" else "lower"

    @property
    def words(self) -> str:
        """The name as people read it."""
        return self.name.replace("_", " ")

    @property
    def many(self) -> str:
        """The plural as people read it."""
        return self.plural.replace("_", " ")

    def value(self, cost: float) -> float:
        """The value that a cost stands for."""
        if self.of == "exp":
            return math.exp(cost)
        return 1.0 - cost if self.of == "complement" else cost

    def mean(self, values: Sequence[float]) -> float:
        """The value of the mean cost: of perplexities their geometric mean."""
        return self.value(fmean(self.order(value) for value in values))

    def meets(self, value: float, target: float) -> bool:
        """Whether a value is as good as a target."""
        return value >= target if self.better == "higher" else value <= target

    def text(self, value: float | None) -> str:
        """A value in words: `97.20%`; `–` for none."""
        if value is None or math.isnan(value):
            return "–"
        return f"{value:{'.3g' if abs(value) >= LARGE else self.form}}{self.unit}"

    def told(self, cost: float | None) -> str:
        """What a cost stands for, in words; `–` for none."""
        if cost is not None and self.of == "exp" and cost > LARGEST_EXPONENT:
            return "inf"
        return self.text(None if cost is None else self.value(cost))

    def order(self, value: float | None) -> float:
        """The cost of a value, which sorts the best first; infinite for one that is not known."""
        if value is None:
            return math.inf
        if self.of == "exp":
            return math.log(value) if value > 0 else -math.inf
        return tidy(1.0 - value) if self.of == "complement" else value


def tidy(cost: float) -> float:
    """A cost without the noise of its sum: as many wrong answers are as bad, however they are batched."""
    return float(f"{cost:.12g}")


PERPLEXITY = Metric("perplexity", "perplexities", of="exp", form=".2f")
"""exp of nats per token."""
