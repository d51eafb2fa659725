"""Masks from controls: initialise, remove, redistribute, grow. Reads tensors, writes none.

A control ranks or weighs; the arithmetic here counts. So the number of active weights is exact
whatever a control answers, and an answer that cannot be ranked is an error that names it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from hyperprune.errors import Diverged, SparsityError
from hyperprune.plugins import registry
from hyperprune.sparsity.allocate import apportion, at_least, check_total
from hyperprune.sparsity.blocks import covered
from hyperprune.sparsity.masked import least_of
from hyperprune.sparsity.slices import occupied, removable
from hyperprune.sparsity.topk import choose, highest, lowest, lowest_of_all
from hyperprune.sparsity.view import TensorView

TOLERANCE = 0.02
"""How far a threshold removal may miss before its threshold moves (Dettmers & Zettlemoyer 2019)."""


@dataclass(frozen=True)
class Control:
    """A control with the name that errors call it by."""

    kind: str
    name: str
    function: Callable[..., Any]

    @classmethod
    def of(cls, kind: str, chosen: str | Mapping[str, Any] | Callable[..., Any]) -> Control:
        """Look a control up by name or `{"name": …, option: …}`, or name a callable after itself."""
        if isinstance(chosen, str):
            return cls(kind, chosen, registry().bind(kind, chosen))
        if isinstance(chosen, Mapping):
            options = {key: value for key, value in chosen.items() if key != "name"}
            return cls(kind, chosen["name"], registry().bind(kind, chosen["name"], options))
        function = getattr(chosen, "func", chosen)
        own = getattr(function, "__name__", type(function).__name__)
        return cls(kind, getattr(chosen, "__name__", own), chosen)  # a bound plugin has its name

    def declared(self, key: str, default: Any) -> Any:
        """What `hookspecs.control` declared, also on a function with bound options."""
        function = getattr(self.function, "func", self.function)
        return getattr(function, key, default)

    def salience(self, view: TensorView) -> Tensor:
        """Ask for a salience; raises SparsityError where it cannot rank the weights."""
        return self.checked(view, self.function(view))

    def ranked(self, view: TensorView, count: int, among: Tensor) -> Tensor:
        """Saliences of what moves, `count` of it; those of a block's weights are pooled."""
        if view.grid is not None:
            count = min(view.grid.weights(count), int(among.count_nonzero()))
        return self.pool(view, self.salience(replace(view, count=count)))

    def pool(self, view: TensorView, salience: Tensor) -> Tensor:
        """The saliences of what moves; raises SparsityError for a block that has no mean."""
        if view.grid is None:
            return salience
        return self.checked_means(view.name, view.grid.pool(salience))

    def checked_means(self, name: str, means: Tensor) -> Tensor:
        """Means of blocks of a tensor, or of a layer's units; raises SparsityError where one is NaN."""
        if bool(means.isnan().any()):
            raise SparsityError(
                f"{self.kind} {self.name!r} returned ∞ and −∞ in one block, which has no mean then "
                f"({name})"
            )
        return means

    def checked(self, view: TensorView, answer: object) -> Tensor:
        """Return the answer as a salience of the view's shape on its device."""
        if not isinstance(answer, Tensor):
            raise self.error(view, f"returned {type(answer).__name__}, not a tensor")
        if answer.shape != view.weight.shape:
            shape, right = tuple(answer.shape), tuple(view.weight.shape)
            raise self.error(view, f"returned shape {shape}; the weights have {right}")
        if answer.is_complex() or answer.device != view.weight.device:
            raise self.error(view, f"returned {answer.dtype} on {answer.device}")
        answer = answer.detach()
        if not answer.is_floating_point():
            answer = answer.to(torch.float32)
        if bool(answer.isnan().any()):
            raise self.error(view, "returned NaN")
        return answer

    def share(self, view: TensorView) -> float:
        """Ask for a share; raises SparsityError unless it is a finite number ≥ 0."""
        return self.checked_share(view, self.function(view))

    def checked_share(self, view: TensorView, answer: object) -> float:
        """Return the answer as a float."""
        try:
            share = float(answer)  # type: ignore[arg-type]
        except (TypeError, ValueError, RuntimeError):
            raise self.error(view, f"returned {type(answer).__name__}, not a number") from None
        if not math.isfinite(share) or share < 0:
            raise self.error(view, f"returned {share}; a share is a finite number ≥ 0")
        return share

    def error(self, view: TensorView, problem: str) -> SparsityError:
        """Say who went wrong and where."""
        return SparsityError(f"{self.kind} {self.name!r} {problem} (tensor {view.name})")


@contextmanager
def finite(views: Sequence[TensorView]) -> Iterator[None]:
    """Raise Diverged for whatever goes wrong with weights or gradients that are not finite.

    A control that then answers badly, or raises, is not at fault.
    """
    try:
        yield
    except Exception as error:
        for view in views:
            for what, tensor in (("weights", view.weight), ("gradients", view._gradient())):
                if tensor is not None and not bool(tensor.isfinite().all()):
                    raise Diverged(f"{what} of {view.name} are no longer finite") from error
        raise


def initial_masks(views: Sequence[TensorView], total: int, init: Control) -> list[Tensor]:
    """Place `total` active weights as an initialisation says; placement is by lot unless ranked."""
    answers = [init.function(view) for view in views]
    if all(isinstance(answer, Tensor) and answer.dim() > 1 for answer in answers):
        pooled = [
            init.pool(view, init.checked(view, answer))
            for view, answer in zip(views, answers, strict=True)
        ]
        return top_of_network(views, pooled, total)
    blocks = [
        _block_shares(init, view, answer) for view, answer in zip(views, answers, strict=True)
    ]
    sizes = [view.size for view in views]
    counts = at_least(apportion(total, [math.fsum(block) for block in blocks], sizes), least(views))
    return [
        occupied(view, entries(view, place(view, count, block)))
        for view, count, block in zip(views, counts, blocks, strict=True)
    ]


def least(views: Sequence[TensorView]) -> list[int]:
    """Places that each tensor must keep."""
    return [least_of(view.along, view.weight.shape) for view in views]


def entries(view: TensorView, places: Tensor) -> Tensor:
    """The weights of places: a mask of the weights' shape."""
    return places if view.grid is None else view.grid.spread(places)


def _block_shares(init: Control, view: TensorView, answer: object) -> list[float]:
    """Shares of a tensor's equal blocks of rows; a plain number is one block."""
    listed = (
        list(answer) if isinstance(answer, (Sequence, Tensor)) and _length(answer) else [answer]
    )
    shares = [init.checked_share(view, share) for share in listed]
    rows = view.weight.shape[0]
    if rows % len(shares):
        raise init.error(view, f"returned {len(shares)} block shares for {rows} rows")
    return shares


def _length(answer: Sequence[Any] | Tensor) -> int:
    return 0 if isinstance(answer, Tensor) and answer.dim() == 0 else len(answer)


def place(view: TensorView, count: int, block_shares: Sequence[float]) -> Tensor:
    """Place `count` active weights by lot, exact within each of the equal blocks of rows."""
    mask = torch.ones_like(view.places)
    if mask.shape[0] % len(block_shares):  # blocks of rows do not divide among the shares
        block_shares = [math.fsum(block_shares)]
    size = mask.numel() // len(block_shares)
    counts = apportion(count, block_shares, [size] * len(block_shares))
    for block, active in zip(mask.view(len(counts), -1), counts, strict=True):
        block.copy_(choose(block, active, view.generator))
    return mask


def top_of_network(
    views: Sequence[TensorView], saliences: Sequence[Tensor], total: int
) -> list[Tensor]:
    """Keep the `total` highest saliences of the network, at least one in each tensor."""
    check_total(total, least(views))
    dense = [replace(view, mask=torch.ones_like(view.mask)) for view in views]
    out = sum(view.size for view in dense) - total
    gone = lowest_of_network(dense, saliences, out)
    return [entries(view, ~mask) for view, mask in zip(views, gone, strict=True)]


def lowest_of_network(
    views: Sequence[TensorView], saliences: Sequence[Tensor], count: int
) -> list[Tensor]:
    """Mark the `count` lowest active places of the network; what must stay is passed over."""
    generator = views[0].generator
    among = [movable(view) for view in views]
    gone = lowest_of_all(saliences, among, count, generator)
    if any(torch.equal(lost, view.places) for lost, view in zip(gone, views, strict=True)):
        spared = [
            mask & ~highest(salience, mask, 1, generator) if view.along is None else mask
            for view, salience, mask in zip(views, saliences, among, strict=True)
        ]
        gone = lowest_of_all(saliences, spared, count, generator)
    return gone


def remove(
    views: Sequence[TensorView], removal: Control, rate: float, shrink: int, threshold: float
) -> tuple[list[Tensor], float]:
    """Pick active weights to go; (masks of what goes, the next threshold).

    `views` are true to the moment before removal. K_l = ceil(rate · n_l), and at least `shrink`
    over all tensors as far as there is room, never what a tensor must keep. The threshold starts where
    the engine says, doubles after an update that removed under 98 % of its target and halves above
    102 %.
    """
    active = [int(view.places.count_nonzero()) for view in views]
    room = [n - low for n, low in zip(active, least(views), strict=True)]
    shrink = min(shrink, sum(room))
    if removal.declared("counts", "tensor") == "tensor":
        quotas = [min(math.ceil(rate * n), cap) for n, cap in zip(active, room, strict=True)]
        if sum(quotas) < shrink:
            quotas = apportion(shrink, active, room)
        gone = []
        for view, quota in zip(views, quotas, strict=True):
            salience = removal.ranked(view, quota, view.mask)
            gone.append(entries(view, lowest(salience, movable(view), quota, view.generator)))
        return gone, threshold

    target = math.ceil(rate * sum(active))
    saliences = [removal.ranked(view, target, view.mask) for view in views]
    count = target
    if removal.declared("counts", "tensor") == "threshold":
        low = [(s <= threshold) & v.places for s, v in zip(saliences, views, strict=True)]
        count = sum(int(mask.count_nonzero()) for mask in low)
    count = min(max(count, shrink), sum(room))
    gone = lowest_of_network(views, saliences, count)
    if removal.declared("counts", "tensor") == "threshold":
        if count < (1 - TOLERANCE) * rate * sum(active):
            threshold *= 2
        elif count > (1 + TOLERANCE) * rate * sum(active):
            threshold /= 2
    return [entries(v, lost) for v, lost in zip(views, gone, strict=True)], threshold


def movable(view: TensorView) -> Tensor:
    """Active places that may go."""
    return removable(view) if view.grid is None else view.places


@dataclass(frozen=True)
class Change:
    """What an update will do, tensor by tensor: not done yet."""

    gone: list[Tensor]  # bool, of each tensor's shape
    grown: list[Tensor]
    threshold: float


def planned(
    before: Sequence[TensorView],
    after: Sequence[TensorView],
    controls: tuple[Control, Control, Control],
    rate: float,
    shrink: int,
    threshold: float,
) -> Change:
    """Ask removal, redistribution and growth, and write nothing: an update is whole or it is not.

    `after` are views of the same tensors for growth, to which removal is shown here.
    """
    removal, redistribution, growth = controls
    gone, threshold = remove(before, removal, rate, shrink, threshold)
    removed = [
        int(covered(view.grid, mask).count_nonzero())
        for view, mask in zip(before, gone, strict=True)
    ]
    counts = redistribute(before, redistribution, removed, max(0, sum(removed) - shrink))
    shown = (
        replace(view, mask=view.mask & ~mask, weight=view.weight.masked_fill(mask, 0))
        for view, mask in zip(after, gone, strict=True)
    )
    return Change(gone, grow(shown, growth, counts), threshold)


def redistribute(
    views: Sequence[TensorView], redistribution: Control, removed: Sequence[int], total: int
) -> list[int]:
    """Share out `total` weights to grow among tensors by their shares, none above its free places.

    `views` are true to the moment before removal, as in the methods' own code; each carries what
    it lost in `count`.
    """
    lost = [replace(view, count=count) for view, count in zip(views, removed, strict=True)]
    shares = [redistribution.share(view) for view in lost]
    free = [
        view.size - int(view.places.count_nonzero()) + count
        for view, count in zip(views, removed, strict=True)
    ]
    return apportion(total, shares, free)


def grow(views: Iterable[TensorView], growth: Control, counts: Sequence[int]) -> list[Tensor]:
    """Pick inactive weights to come alive. `views` are true to the moment after removal."""
    grown = []
    for view, count in zip(views, counts, strict=True):
        if not count:
            grown.append(torch.zeros_like(view.mask))
            continue
        salience = growth.ranked(view, count, ~view.mask)
        grown.append(entries(view, highest(salience, ~view.places, count, view.generator)))
    return grown
