"""The masked tensors as a table, for a terminal and for a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from hyperprune.sparsity.masked import Masked

TITLES = ("tensor", "shape", "active", "density", "dead rows", "dead columns")


@dataclass(frozen=True)
class Row:
    """One tensor: a row or column is dead where no weight of it is active."""

    name: str
    shape: tuple[int, ...]
    active: int
    size: int
    dead_rows: int
    dead_columns: int

    @classmethod
    def of(cls, tensor: Masked) -> Row:
        """Count a mask; columns are the places of all dimensions but the first."""
        flat = tensor.mask.flatten(1)
        return cls(
            tensor.name,
            tuple(tensor.mask.shape),
            tensor.active,
            tensor.size,
            int((~flat.any(1)).sum()),
            int((~flat.any(0)).sum()),
        )

    def cells(self) -> tuple[str, ...]:
        """The row as text."""
        return (
            self.name,
            " × ".join(map(str, self.shape)),
            f"{self.active:,} of {self.size:,}",
            f"{self.active / self.size:.4f}",
            _of(self.dead_rows, self.shape[0]),
            _of(self.dead_columns, self.size // self.shape[0]),
        )


@dataclass(frozen=True)
class Summary:
    """What is active where. `str()` is a table of text; a notebook shows it as one of HTML."""

    rows: tuple[Row, ...]
    parameters: int  # of the whole model

    @classmethod
    def of(cls, tensors: Sequence[Masked], parameters: int) -> Summary:
        """Count all masks."""
        return cls(tuple(Row.of(tensor) for tensor in tensors), parameters)

    def _lines(self) -> Iterator[tuple[str, ...]]:
        yield from (row.cells() for row in self.rows)
        active, size = sum(row.active for row in self.rows), sum(row.size for row in self.rows)
        yield "all masked", "", f"{active:,} of {size:,}", f"{active / size:.4f}", "", ""
        left = self.parameters - size + active
        share = f"{left / self.parameters:.4f}"
        yield "whole model", "", f"{left:,} of {self.parameters:,}", share, "", ""

    def __str__(self) -> str:
        table = [TITLES, *self._lines()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in table
        ]
        rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
        return "\n".join([lines[0], rule, *lines[1:-2], rule, *lines[-2:]])

    def _repr_html_(self) -> str:
        def row(cells: Sequence[str], tag: str) -> str:
            return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"

        body = "".join(row(cells, "td") for cells in self._lines())
        return f"<table><thead>{row(TITLES, 'th')}</thead><tbody>{body}</tbody></table>"


def _of(dead: int, whole: int) -> str:
    return f"{dead:,} of {whole:,}" if dead else "–"
