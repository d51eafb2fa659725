"""Masks in a safetensors file: one boolean tensor a parameter, by its name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hyperprune.errors import SparsityError


def write_masks(path: Path, masks: Mapping[str, Tensor]) -> None:
    """Write boolean masks."""
    save_file({name: mask.cpu().contiguous() for name, mask in masks.items()}, path)


def read_masks(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Read boolean masks of the given names and shapes; raises SparsityError for any other."""
    try:
        masks = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SparsityError(f"{path}: cannot be read as masks: {error}") from error
    return checked(str(path), masks, shapes)


def checked(
    source: str, masks: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Tensor]:
    """Masks as booleans; raises SparsityError where names or shapes are not those expected."""
    if masks.keys() != shapes.keys():
        odd = ", ".join(sorted(masks.keys() ^ shapes.keys()))
        raise SparsityError(f"{source}: masks and masked weights differ in {odd}")
    for name, mask in masks.items():
        if tuple(mask.shape) != shapes[name]:
            found = tuple(mask.shape)
            raise SparsityError(
                f"{source}: {name} has shape {found}; the weight has {shapes[name]}"
            )
    return {name: mask.bool() for name, mask in masks.items()}
