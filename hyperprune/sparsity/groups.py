"""n of every m weights: masks that keep their number in each group of m neighbours of a row.

Mishra et al. 2021 (2:4 of sparse tensor cores). A group is m weights that follow each other in a row
of the tensor read as a matrix; a row's last one, where m does not divide it, has fewer, of which n
stay, or all. What an update removes is chosen in the whole tensor; what grows, group by group, as
many as it lost.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from hyperprune.sparsity.topk import lowest
from hyperprune.sparsity.update import Change, Control
from hyperprune.sparsity.view import TensorView

Group = tuple[int, int]


def kept(shape: Sequence[int], group: Group) -> int:
    """Weights that n:m keeps of a tensor."""
    (n, m), wide = group, math.prod(shape[1:])
    return shape[0] * (wide // m * n + min(n, wide % m))


def fits(mask: Tensor, group: Group) -> bool:
    """Whether a mask has n of m everywhere."""
    return int(mask.count_nonzero()) == kept(mask.shape, group) and bool(
        (_groups(mask, group[1], False).sum(-1) <= group[0]).all()
    )


def initial_groups(views: Sequence[TensorView], init: Control, group: Group) -> list[Tensor]:
    """First masks: the highest of each group where the initialisation ranks, else by lot."""
    masks = []
    for view in views:
        answer = init.function(view)
        ranked = isinstance(answer, Tensor) and answer.dim() > 1
        salience = init.checked(view, answer) if ranked else torch.zeros_like(view.weight)
        free = torch.ones_like(view.mask)
        wanted = _groups(free, group[1], False).sum(-1).clamp(max=group[0])
        masks.append(_highest_of_groups(salience, free, wanted, group[1], view.generator))
    return masks


def planned_groups(
    before: Sequence[TensorView],
    after: Sequence[TensorView],
    controls: tuple[Control, Control, Control],
    rate: float,
    threshold: float,
    group: Group,
) -> Change:
    """An update that leaves n of m everywhere: nothing moves between tensors."""
    removal, _, growth = controls
    gone, grown = [], []
    for old, new in zip(before, after, strict=True):
        count = math.ceil(rate * int(old.mask.count_nonzero()))
        shown = replace(old, count=count)
        salience = removal.salience(shown)
        lost = lowest(salience, old.mask, count, old.generator)
        left = old.mask & ~lost
        view = replace(new, mask=left, weight=new.weight.masked_fill(lost, 0), count=count)
        wanted = _groups(lost, group[1], False).sum(-1)
        gone.append(lost)
        if count:
            promise = growth.salience(view)
            grown.append(_highest_of_groups(promise, ~left, wanted, group[1], new.generator))
        else:
            grown.append(torch.zeros_like(lost))
    return Change(gone, grown, threshold)


def _highest_of_groups(
    salience: Tensor, among: Tensor, wanted: Tensor, m: int, generator: torch.Generator
) -> Tensor:
    """Mask the highest saliences among the true entries, as many in each group as wanted (R, G)."""
    # −∞ is of what is not among them.
    salience = salience.clamp(min=torch.finfo(salience.dtype).min)
    values = _groups(salience.masked_fill(~among, -math.inf), m, -math.inf)  # (R, G, m)
    lots = torch.rand(values.shape, generator=generator).to(values.device).argsort(-1)
    order = values.gather(-1, lots).argsort(dim=-1, descending=True, stable=True)
    place = lots.gather(-1, order)  # the entry that comes first, second, …
    taken = torch.arange(m, device=values.device) < wanted.unsqueeze(-1)
    mask = torch.zeros_like(values, dtype=torch.bool).scatter_(-1, place, taken)
    rows = mask.flatten(1)[:, : math.prod(salience.shape[1:])]
    return rows.reshape(salience.shape) & among


def _groups(tensor: Tensor, m: int, beyond: float) -> Tensor:
    """A tensor as (R, groups, m), a last group filled up."""
    matrix = tensor.reshape(tensor.shape[0], -1)
    wide = functional.pad(matrix, (0, -matrix.shape[1] % m), value=beyond)
    return wide.view(len(matrix), -1, m)
