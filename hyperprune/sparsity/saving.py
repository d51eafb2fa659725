"""What goes on from where: the engine's state as flat tensors, and masks from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hyperprune.errors import SparsityError
from hyperprune.sparsity.masked import Masked
from hyperprune.sparsity.maskfile import checked, read_masks
from hyperprune.sparsity.slices import empties


def saved(tensors: Sequence[Masked]) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """A copy of masks and averages by flat name, and what the last update changed."""
    found = {f"{part}.{t.name}": own.clone() for t in tensors for part, own in _kept(t).items()}
    return found, {t.name: [t.removed, t.grown] for t in tensors}


def restore(
    tensors: Sequence[Masked], found: Mapping[str, Tensor], changes: Mapping[str, Any]
) -> None:
    """Take over what `saved` returned, all or nothing; raises SparsityError for another network's."""
    for t in tensors:
        for part, own in _kept(t).items():
            value = found.get(f"{part}.{t.name}")
            if value is None or value.shape != own.shape:
                shape = "nothing" if value is None else tuple(value.shape)
                raise SparsityError(
                    f"saved {part} of {t.name}: found {shape}, expected {tuple(own.shape)}"
                )
        if t.name not in changes:
            raise SparsityError(f"saved changes of {t.name}: found nothing")
    for t in tensors:
        for part, own in _kept(t).items():
            own.copy_(found[f"{part}.{t.name}"])
        t.set_mask(t.mask.clone())
        t.removed, t.grown = changes[t.name]


def _kept(tensor: Masked) -> dict[str, Tensor]:
    kept = {"mask": tensor.mask, "ever": tensor.ever}
    if tensor.average is not None:
        kept["average"] = tensor.average
    return kept


def given_masks(
    tensors: Sequence[Masked], masks: Mapping[str, Tensor] | str | Path
) -> list[Tensor]:
    """Masks of the tensors, in their order, from a file or by name; raises SparsityError."""
    shapes = {t.name: tuple(t.mask.shape) for t in tensors}
    if isinstance(masks, (str, Path)):
        source, found = str(masks), read_masks(Path(masks), shapes)
    else:
        source, found = "masks", checked("masks", masks, shapes)
    for t in tensors:
        if empties(found[t.name], t.along):
            what = "an empty row, which its norm divides by" if t.least > 1 else "no active weight"
            raise SparsityError(f"{source}: {t.name} has {what}")
        mask = found[t.name].bool()
        if t.grid is not None and not torch.equal(t.grid.spread(t.grid.covers(mask)), mask):
            raise SparsityError(f"{source}: {t.name} is not masked in whole blocks")
    return [found[t.name].to(t.mask.device) for t in tensors]
