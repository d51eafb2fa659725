"""How the blocks are named that masks may come in; what they are is in `hyperprune.sparsity.blocks`."""

from __future__ import annotations

import re

EACH = "none"
"""No blocks: every weight by itself."""
UNITS = "units"
WHOLE = ("rows", UNITS, "columns")
LARGEST = 4096
PATTERN = rf"^({'|'.join((EACH, *WHOLE))}|[0-9]{{1,4}}[x:][0-9]{{1,4}})$"
"""What a schema says of a block; `block_name` says more."""


def block_name(value: object) -> str:
    """The one spelling of a block, such as "8x4"; raises ValueError that says what would be right."""
    pair = value
    if isinstance(value, str):
        if value in (EACH, *WHOLE):
            return value
        found = re.fullmatch(r"(\d{1,4})([x:])(\d{1,4})", value, re.ASCII)
        if found and found[2] == ":" and 0 < int(found[1]) < int(found[3]):
            return f"{int(found[1])}:{int(found[3])}"
        pair = (int(found[1]), int(found[3])) if found and found[2] == "x" else value
    if isinstance(pair, (list, tuple)) and len(pair) == 2:
        a, b = pair
        whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (a, b))
        if whole and 1 <= a <= LARGEST and 1 <= b <= LARGEST:
            return EACH if a == b == 1 else f"{a}x{b}"
    raise ValueError(
        'a block is [rows, columns] such as [8, 4], n of m such as "2:4", or one of '
        f"{', '.join((EACH, *WHOLE))}"
    )


def n_of_m(name: str) -> tuple[int, int] | None:
    """(n, m) of "n:m", None for any other block."""
    n, colon, m = name.partition(":")
    return (int(n), int(m)) if colon else None
