"""Sequences that somebody has in memory, as arrays by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperprune.corpus.array_files import KEYS, part_of, table_of
from hyperprune.corpus.sequences import Part
from hyperprune.errors import CorpusError

EXPECTED = (
    "expected (x, y), a mapping with x and y (and lengths), or a map-style data set of such pairs; x: "
    "(N, T, F), or a list of N sequences (T, F)"
)


def arrays_of(given: Any, what: str) -> dict[str, Tensor]:
    """x (N, T, F), or (sum of lengths, F) with lengths (N,), and y; raises CorpusError."""
    if isinstance(given, Mapping):
        if not {"x", "y"} <= given.keys():
            raise CorpusError(
                f"{what}: found a mapping with {', '.join(map(str, given))}; {EXPECTED}"
            )
        if unknown := sorted(set(given) - set(KEYS)):
            raise CorpusError(f"{what}: found {unknown[0]!r}; what is read: {', '.join(KEYS)}")
        x, y = given["x"], given["y"]
        if "lengths" in given:
            return _with_lengths(x, given["lengths"], y, what)
    elif isinstance(given, (tuple, list)) and len(given) == 2:
        x, y = given
    elif hasattr(given, "__len__") and hasattr(given, "__getitem__"):
        pairs = [given[index] for index in range(len(given))]
        if not pairs or any(
            not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs
        ):
            raise CorpusError(f"{what}: found {type(given).__name__} of other things; {EXPECTED}")
        x, y = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    else:
        raise CorpusError(f"{what}: found {type(given).__name__}; {EXPECTED}")
    return {**inputs_of(x, what), "y": _answers(y, what)}


def _with_lengths(x: Any, lengths: Any, y: Any, what: str) -> dict[str, Tensor]:
    """Arrays as files have them, held against what files must hold."""
    found = {
        "x": _tensor(x, f"{what}: x").float(),
        "lengths": _tensor(lengths, f"{what}: lengths"),
        "y": _answers(y, what),
    }
    table_of(Path(what), {name: own.numpy() for name, own in found.items()})
    return found


def inputs_of(x: Any, what: str) -> dict[str, Tensor]:
    """As `arrays_of`, of the sequences alone."""
    if isinstance(x, (Tensor, np.ndarray)):
        whole = _tensor(x, f"{what}: x").float()
        if whole.dim() == 2:
            whole = whole.unsqueeze(-1)
        if whole.dim() != 3:
            raise CorpusError(f"{what}: x has shape {tuple(whole.shape)}; {EXPECTED}")
        return {"x": whole}
    rows = [_tensor(row, f"{what}: x, row {n}").float() for n, row in enumerate(x)]
    rows = [row.unsqueeze(-1) if row.dim() == 1 else row for row in rows]
    odd = next(
        (n for n, row in enumerate(rows) if row.dim() != 2 or row.shape[1:] != rows[0].shape[1:]),
        None,
    )
    if not rows or odd is not None:
        shape = "no sequence" if not rows else f"row {odd} of shape {tuple(rows[odd or 0].shape)}"
        raise CorpusError(f"{what}: found {shape}; {EXPECTED}")
    if len({len(row) for row in rows}) == 1:
        return {"x": torch.stack(rows)}
    lengths = torch.tensor([len(row) for row in rows])
    return {"x": torch.cat(rows), "lengths": lengths}


def part_given(arrays: Mapping[str, Tensor], what: str, labels: Sequence[str] = ()) -> Part:
    """A split of arrays, held against what files must hold; raises CorpusError with the row."""
    held = {name: own.numpy() for name, own in arrays.items()}
    return part_of(table_of(Path(what), held), labels)


def _answers(y: Any, what: str) -> Tensor:
    if not isinstance(y, (Tensor, np.ndarray)):
        rows = [_tensor(row, f"{what}: y, row {n}") for n, row in enumerate(y)]
        if len({row.shape for row in rows}) > 1:
            raise CorpusError(
                f"{what}: y has rows of different shapes; one answer a sequence, or for sequences of one "
                "length one a step"
            )
        y = torch.stack(rows)
    found = _tensor(y, f"{what}: y")
    return found.float() if found.is_floating_point() else found.long()


def _tensor(value: Any, what: str) -> Tensor:
    try:
        return torch.as_tensor(value).detach().cpu()
    except (TypeError, ValueError, RuntimeError) as error:
        raise CorpusError(
            f"{what}: found {type(value).__name__}; expected numbers: {error}"
        ) from None
