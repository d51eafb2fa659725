"""How large the weights of a sparse network are at the start, against those of its dense twin."""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from hyperprune.errors import SparsityError, nearest
from hyperprune.plugins.defaults import InitScale


def check_scale(name: str) -> None:
    """Raise SparsityError for a name that is no initial scale."""
    known = get_args(InitScale)
    if name not in known:
        raise SparsityError(
            f"found init_scale {name!r}{nearest(name, known)}; one of {', '.join(known)}"
        )


def compensation(mask: Tensor, scale: InitScale) -> Tensor | float:
    """Factor that makes up for what a mask takes from the variance of what a unit receives.

    A unit that keeps a share d of its inputs receives d times the variance, so its weights grow by
    1/√d (Evci et al., AAAI 2022). A column of an embedding receives one entry a token, which is
    active with probability d: the same factor keeps its mean square, and so a word vector's norm.

    variance: one factor for the tensor, from its density. fan_in: one for each row (an output unit's
    own inputs, a word's own vector), shape (rows, 1, …); an empty row has none. none: 1.
    """
    if scale == "none":
        return 1.0
    if scale == "variance":
        return float((mask.numel() / mask.count_nonzero().clamp(min=1)) ** 0.5)
    rows = mask.flatten(1)
    active = rows.count_nonzero(1).clamp(min=1)
    factors = (rows.shape[1] / active.to(torch.get_default_dtype())).sqrt()
    return factors.reshape(-1, *[1] * (mask.dim() - 1))
