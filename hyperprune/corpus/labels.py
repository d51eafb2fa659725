"""Labels of CSV tables that belong together, read alike in all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from hyperprune.corpus.array_files import Table
from hyperprune.errors import CorpusError


def read_labels(
    tables: Sequence[Table], kind: type | None = None, *, a_step: bool = False
) -> list[Table]:
    """Tables that belong together, their labels read alike; raises CorpusError naming the row.

    They are integers, numbers where some are not whole, else words, unless `kind` says; one a step where a
    sequence has several, or where `a_step` says so, else one a sequence.
    """
    kind = kind or (str if any(table.words for table in tables) else _kind(tables))
    a_step = a_step or any(
        len({said for _, said in own}) > 1 for table in tables for own in table.cells or []
    )
    found = []
    for table in tables:
        if table.cells is not None:
            values = [[kind(said) for _, said in own] for own in table.cells]
            table = replace(table, y=values if a_step else [own[0] for own in values], cells=None)
        found.append(table)
    return found


def _kind(tables: Sequence[Table]) -> type:
    """How labels are read; raises CorpusError for what is missing among numbers."""
    cells = [(table.path, *cell) for table in tables for own in table.cells or [] for cell in own]
    given = [y for table in tables for y in table.y or [] if isinstance(y, Tensor)]
    try:
        whole = [int(said) for _, _, said in cells]
    except ValueError:
        pass
    else:
        if any(abs(value) >= 2**63 for value in whole):
            return str  # a name that is made of digits
        return float if any(y.is_floating_point() for y in given) else int
    try:
        numbers = [float(said) for _, _, said in cells]
    except ValueError:
        return str
    for value, (path, row, said) in zip(numbers, cells, strict=True):
        if not math.isfinite(value):
            raise CorpusError(
                f"{path}, row {row}: the label is {said}; fill in or leave out what is missing"
            )
    return float
