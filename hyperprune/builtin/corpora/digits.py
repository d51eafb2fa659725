"""Handwritten digits read row by row: eight rows of eight pixels, from scikit-learn's own files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

if TYPE_CHECKING:
    from hyperprune.corpus import Sequences

SHARE = 0.2
"""Of the images, for validation, and again for test."""


def digits(root: Path | None, *, split_seed: Annotated[int, Field(ge=0)] = 0) -> Sequences:
    """Handwritten digits read row by row (1,797 images, 8 rows of 8 pixels); no download.

    Alpaydin & Kaynak 1998, UCI's Optical Recognition of Handwritten Digits, as scikit-learn carries
    its test part. Pixels are divided by 16. `root` is not used.
    """
    import torch
    from sklearn.datasets import load_digits

    from hyperprune.corpus import Part, Sequences, dealt

    images, labels = load_digits(return_X_y=True)
    x = torch.tensor(images, dtype=torch.float32).view(-1, 8, 8) / 16  # (N, rows, pixels)
    whole = Part(x, torch.full((len(x),), 8), torch.tensor(labels, dtype=torch.int64))
    train, valid, test = dealt(
        "digits", whole, range(len(x)), valid=SHARE, test=SHARE, seed=split_seed
    )
    return Sequences("digits", train, valid, test, tuple("0123456789"))
