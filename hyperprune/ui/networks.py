"""A network's weights, and the forms it is exported in, as tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from rich.console import RenderableType
from rich.text import Text

from hyperprune.plan.disk import show_bytes
from hyperprune.terms.metric import PERPLEXITY
from hyperprune.ui.text import (
    safe,
)

if TYPE_CHECKING:
    pass
from hyperprune.ui.tables import plain_table


def topology_table(topology: Mapping[str, Any]) -> RenderableType:
    """Who has how many active weights, from a topology record."""
    numbers = ("weights", "active", "sparsity", "removed", "grown", "ever active")
    table = plain_table("tensor", "shape", *numbers, "active by gate", right=numbers)
    weights = active = 0
    for tensor in topology["tensors"]:
        size = 1
        for extent in tensor["shape"]:
            size *= extent
        weights, active = weights + size, active + tensor["active"]
        gates = tensor.get("gates") or {}
        table.add_row(
            Text(safe(tensor["name"]), no_wrap=True),
            " × ".join(str(extent) for extent in tensor["shape"]),
            f"{size:,}",
            f"{tensor['active']:,}",
            f"{1 - tensor['active'] / size:.4f}",
            f"{tensor['removed']:,}",
            f"{tensor['grown']:,}",
            f"{tensor['ever_active'] / size:.3f}",
            Text(", ".join(f"{safe(gate)} {count:,}" for gate, count in gates.items())),
        )
    table.add_section()
    share = f"{1 - active / weights:.4f}" if weights else "–"
    table.add_row("all", "", f"{weights:,}", f"{active:,}", share, "", "", "", "")
    return table


def measure_table(rows: Sequence[Measured]) -> RenderableType:
    """Every form of a network: its file, memory, latencies and perplexity, beside the first's."""
    numbers = (
        "file", "weights", "resident", "step", "× as fast", "35 steps, batch 20", "perplexity",
    )  # fmt: skip
    table = plain_table("form", *numbers, right=numbers)
    for row in rows:
        table.add_row(
            Text(row.form, no_wrap=True),
            show_bytes(row.file),
            show_bytes(row.memory),
            "–" if row.resident is None else show_bytes(row.resident),
            f"{1000 * row.step:.2f} ms",
            f"{rows[0].step / row.step:.2f}",
            f"{1000 * row.segment:.1f} ms",
            PERPLEXITY.text(row.perplexity),
        )
    return table


class Measured(Protocol):
    """What the table shows of one form; `hyperprune.export.measure` makes it."""

    @property
    def form(self) -> str: ...  # noqa: D102
    @property
    def file(self) -> int: ...  # noqa: D102
    @property
    def memory(self) -> int: ...  # noqa: D102
    @property
    def resident(self) -> int | None: ...  # noqa: D102
    @property
    def step(self) -> float: ...  # noqa: D102
    @property
    def segment(self) -> float: ...  # noqa: D102
    @property
    def perplexity(self) -> float | None: ...  # noqa: D102
