"""Words for the screen: strings that a terminal cannot be tricked with, and numbers people read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperprune.judgement.margin import Margin
    from hyperprune.terms.metric import Metric

LONGEST = 300
"""Characters of one string on the screen; what is longer is cut."""


def safe(value: object, longest: int = LONGEST) -> str:
    """Escape what is not printable, so that no name can move the cursor, colour or hide text."""
    text = str(value)
    if len(text) > longest:
        text = text[: longest - 1] + "…"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def safe_lines(text: str) -> str:
    """As `safe`, line by line, each as long as it is."""
    return "\n".join(safe(line, len(line) + 1) for line in text.splitlines())


def number(value: float | None, digits: int = 4) -> str:
    """A number to some significant digits; `–` for none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.{digits}g}"


def four_places(value: float | None) -> str:
    """A distance, aligned with its neighbours where it is of a usual size; `–` for none."""
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e3 else f"{value:.3g}"


def measured(value: float | None, error: float | None) -> str:
    """A value with its standard error where it has one: `0.1234 ±0.0051`."""
    if value is None or error is None or math.isnan(value) or math.isnan(error):
        return four_places(value)
    return f"{four_places(value)} ±{four_places(error) if error >= 1e-3 else number(error, 1)}"


def lost_of(lost: float | None, exponents: int | None) -> str:
    """How many directions a spectrum has lost: `61.5 of 128 directions lost`; `–` if not known."""
    if lost is None or exponents is None:
        return "–"
    return f"{lost:.4g} of {exponents} directions lost"


def rests_on_few(rests_on: int | None, exponents: int | None) -> str:
    """A warning where a tenth of the exponents or fewer make up a distance; else nothing."""
    if rests_on is None or exponents is None or not 0 < rests_on <= exponents / 10:
        return ""
    return f"nine tenths of its square rest on {rests_on} of {exponents} exponents"


def setting(value: Any, *, exact: bool = False) -> str:
    """A value of a configuration: a number, a name, or a name with its options."""
    if isinstance(value, float):
        return repr(value) if exact else f"{value:.4g}"
    if isinstance(value, Mapping) and "name" in value:
        options = ", ".join(
            f"{k}={setting(v, exact=exact)}" for k, v in value.items() if k != "name"
        )
        return safe(f"{value['name']}({options})" if options else value["name"])
    return safe(value)


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """Name dotted recipe keys by their last word, where no other key ends in it, in one order everywhere."""
    listed = sorted(set(paths))
    ends = [path.rpartition(".")[2] for path in listed]
    return {
        path: safe(end if ends.count(end) == 1 else path)
        for path, end in zip(listed, ends, strict=True)
    }


def configuration(values: Mapping[str, Any]) -> str:
    """A configuration on one line: `init=er, removal=set, removal_rate=0.5`; numbers in full."""
    names = short_names(values)
    return ", ".join(
        f"{names[path]}={setting(value, exact=True)}" for path, value in values.items()
    )


def configured(values: Mapping[str, Any]) -> str:
    """As `configuration`, of a candidate: where nothing was searched, it is the recipe's."""
    return configuration(values) or "the recipe's own settings"


def margin_words(metric: Metric, margin: Margin) -> tuple[str, str, str, str]:
    """A margin and its interval in words, and the unit: in per cent where the metric is an exp."""
    ends = (margin.value, margin.low or 0.0, margin.high or 0.0)
    if metric.of == "exp":
        value, low, high = (f"{100 * math.expm1(cost):+.1f}" for cost in ends)
        return value, low, high, " %"
    shown = sorted(-cost for cost in ends[1:]) if metric.better == "higher" else ends[1:]
    own = -ends[0] if metric.better == "higher" else ends[0]
    value, low, high = (_signed(cost, metric.form) for cost in (own, *shown))
    return value, low, high, metric.unit


def _signed(value: float, form: str) -> str:
    """A number with its sign, whatever its format says of signs and blanks."""
    return ("-" if value < 0 else "+") + f"{abs(value):{form}}".strip(" +")
