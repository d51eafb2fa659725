"""The dropouts of recurrent language models, as functions. All are inverted: kept values grow by
1/(1 − p), so evaluation uses the weights as they are. Masks come from torch's global generator.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Dropouts:
    """How much a network drops, and where: probabilities in [0, 1)."""

    output: float = 0.0  # locked, before the decoder
    hidden: float = 0.0  # locked, between layers; a highway's recurrent state
    input: float = 0.0  # locked, after the embedding
    embedding: float = 0.0  # whole words
    weight: float = 0.0  # single hidden-to-hidden weights
    latent: float = 0.0  # locked, a mixture's latents


def keep_mask(shape: tuple[int, ...], p: float, like: Tensor) -> Tensor:
    """Draw 0 (with probability p) and 1/(1 − p), on the device and in the dtype of `like`."""
    mask = torch.empty(shape, device=like.device, dtype=like.dtype)
    if mask.device.type == "cpu":  # the draws of `bernoulli_`, to the bit, in half of its time
        torch.lt(torch.rand(shape, dtype=torch.float64, device="cpu"), 1 - p, out=mask)
    else:
        mask.bernoulli_(1 - p)
    return mask.div_(1 - p)


def dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Drop every element of x by itself (Srivastava et al. 2014): what torch's draws, in less time."""
    if not training or p == 0:
        return x
    return x * keep_mask(tuple(x.shape), p, x)


def locked_dropout(x: Tensor, p: float, training: bool = True) -> Tensor:
    """Drop units of x (T, B, H) with one mask for all T steps of a sequence.

    Variational dropout of inputs and outputs (Gal & Ghahramani 2016, arXiv 1512.05287), which
    Merity et al. 2018 (arXiv 1708.02182) call locked.
    """
    if not training or p == 0:
        return x
    return x * keep_mask((1, *x.shape[1:]), p, x)  # (1, B, H) over time


def embedding_dropout(weight: Tensor, tokens: Tensor, p: float, training: bool = True) -> Tensor:
    """Look up tokens (T, B) in weight (V, E) with whole words dropped: (T, B, E).

    A word is dropped at all its occurrences in the segment (Gal & Ghahramani 2016). Equal to
    zeroing rows of the weight, without a copy of it.
    """
    embedded = functional.embedding(tokens, weight)  # (T, B, E)
    if not training or p == 0:
        return embedded
    return embedded * keep_mask((weight.shape[0],), p, embedded)[tokens].unsqueeze(-1)


def weight_drop(weight: Tensor, p: float, training: bool = True) -> Tensor:
    """Drop single entries of a weight, the same for a whole segment (Merity et al. 2018).

    The parameter itself, which a sparse training masks, is untouched, and a dropped or masked entry
    is 0 in what comes back.
    """
    return dropout(weight, p, training)


def activation_penalty(dropped: Tensor, raw: Tensor, ar: float, tar: float) -> Tensor:
    """Activation and temporal-activation regularisation of outputs (T, B, H): a scalar.

    `ar` × mean square of the dropped outputs + `tar` × mean square of the differences between
    successive undropped ones (Merity, McCann & Socher 2017, arXiv 1708.01009).
    """
    penalty = dropped.new_zeros(())
    if ar:
        penalty = penalty + ar * dropped.square().mean()
    if tar and raw.shape[0] > 1:
        penalty = penalty + tar * (raw[1:] - raw[:-1]).square().mean()
    return penalty
