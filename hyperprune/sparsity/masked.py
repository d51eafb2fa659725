"""One masked parameter with all that is kept beside it."""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError, SparsityNotice
from hyperprune.model import Gates, gate_rows
from hyperprune.sparsity.blocks import Grid, covered
from hyperprune.terms.blocks import n_of_m

PROBES = 512
"""Weights that are looked at after a step, the active ones among them left out."""
BETA = 0.9
"""Decay of the dense-gradient average: the momentum of Dettmers & Zettlemoyer 2019."""
BITS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Bytes of a number to the integer of as many."""


@dataclass
class Masked:
    """All that is kept for one masked parameter.

    Masking selects: an inactive entry becomes 0 whatever it held, NaN included. On a CPU a bitwise
    "and" with all or no bits set does that five times as fast as a fill, and as fast as a product.
    """

    name: str
    parameter: nn.Parameter
    owner: nn.Module  # the module whose parameter it is
    key: str  # the name that it has there
    gates: Mapping[str, slice]
    along: int | None  # each slice of this dimension is divided by its norm; -1: the whole tensor
    mask: Tensor  # bool: the truth
    keep: Tensor  # the mask as bits, all or none, in integers as wide as the weights
    ever: Tensor  # bool: was active at some time
    grid: Grid | None = None  # blocks that move as one
    average: Tensor | None = None  # of the dense gradient, where a control reads it
    active: int = 0
    removed: int = 0  # by the last update
    grown: int = 0
    clean: int = -1  # version of the parameter when it was last masked
    probes: Tensor | None = None  # places of some inactive weights, (p,) int64
    spent: tuple[Any, int] | None = None  # the gradient that was masked last, and its version
    told: set[str] = field(default_factory=set)

    @classmethod
    def dense(
        cls,
        name: str,
        owner: nn.Module,
        key: str,
        gates: Gates,
        along: int | None,
        averages: bool,
        block: str,
    ) -> Masked:
        """Everything active; raises SparsityError where gates do not fit the parameter's rows."""
        parameter = owner._parameters[key]
        assert parameter is not None
        try:
            rows = gate_rows(gates, parameter.shape[0]) if gates else {}
        except ValueError as error:
            raise SparsityError(f"{name}: {error}") from None
        grid = Grid.of(block, tuple(parameter.shape), rows)
        if along is not None and (grid is not None or n_of_m(block)):
            raise SparsityError(
                f"{name} is divided by the norm of its slices, which blocks would empty: "
                "exclude it, or leave out block"
            )
        mask = torch.ones(parameter.shape, dtype=torch.bool, device=parameter.device)
        return cls(
            name,
            parameter,
            owner,
            key,
            rows,
            along,
            mask,
            bits(mask, parameter),
            mask.clone(),
            grid,
            torch.zeros_like(parameter, requires_grad=False) if averages else None,
            mask.numel(),
        )

    @property
    def size(self) -> int:
        """Weights of the tensor, active or not."""
        return self.mask.numel()

    @property
    def places(self) -> int:
        """Things that move, active or not: blocks, or weights."""
        return self.size if self.grid is None else self.grid.size

    @property
    def placed(self) -> int:
        """How many of them are active."""
        return self.active if self.grid is None else int(covered(self.grid, self.mask).sum())

    @property
    def least(self) -> int:
        """Places that must stay: one, or one in each slice that is divided by its norm."""
        return least_of(self.along, self.mask.shape)

    def settle(self) -> None:
        """Prepare for a step: follow the parameter, mask it, and see that its gradient is dense.

        Raises SparsityError where the module has another parameter in its place.
        """
        if self.owner._parameters.get(self.key) is not self.parameter:
            raise SparsityError(
                f"{self.name} is no longer the module's: it was replaced (load_state_dict(assign=True), "
                "a parametrisation made or removed); make the optimiser and SparseTraining anew"
            )
        if self.moved():
            self.follow()
        if self.written:
            self.mask_weights()
        gradient = self.parameter.grad
        if gradient is not None and gradient.layout != torch.strided:
            self.notice("has sparse gradients (nn.Embedding(sparse=True)), which are made dense")
            self.parameter.grad = gradient.to_dense()

    def average_gradient(self, step: int) -> None:
        """Update the average of the dense gradient, where a control reads it.

        Rows of rare words decay towards denormal numbers, which make a CPU ten times as slow, so
        entries that are nearly 0 are set to 0 every 200 steps.
        """
        if self.average is None:
            return
        gradient = self.gradient()
        if gradient is not None:
            self.average.lerp_(gradient, 1 - BETA)
            if step % 200 == 199:  # 0.9²⁰⁰ ≈ 1e-9: nothing gets from 1e-20 to 1e-38
                self.average.masked_fill_(self.average.abs() < 1e-20, 0)

    def set_mask(self, mask: Tensor) -> None:
        """Take over a mask; weights are the caller's to zero."""
        self.mask.copy_(mask)
        self.keep.copy_(torch.where(self.mask, -1, 0))
        self.ever |= self.mask
        self.active = int(self.mask.count_nonzero())
        self.probes = None

    def strayed(self) -> bool:
        """Whether a step has moved an inactive weight, as far as some that are looked at tell."""
        return self.probed and bool(torch.take(self.parameter.detach(), self._places()).any())

    @property
    def probed(self) -> bool:
        """Whether enough inactive weights can be looked at cheaply: on a CPU, and where there are many."""
        if self.mask.device.type != "cpu":
            return False
        return self.active == self.size or self._places().numel() >= PROBES // 64

    def _places(self) -> Tensor:
        if self.probes is None:
            draw = torch.Generator().manual_seed(self.active)
            places = torch.randint(self.size, (PROBES,), generator=draw)
            self.probes = places[~torch.take(self.mask, places)]
        return self.probes

    def follow(self) -> None:
        """Move to where the parameter has moved since: another device, another dtype."""
        like = self.parameter
        self.mask, self.ever = self.mask.to(like.device), self.ever.to(like.device)
        self.keep = bits(self.mask, like)
        if self.average is not None:
            self.average = self.average.to(like)

    def moved(self) -> bool:
        """Whether the parameter is of another width, or elsewhere, than what is kept for it."""
        like = self.parameter
        return (
            self.keep.element_size() != like.element_size()
            or self.keep.device != like.device
            or (self.average is not None and self.average.dtype != like.dtype)
        )

    def select(self, values: Tensor) -> None:
        """Set the inactive entries of a tensor of the parameter's shape to 0, in place."""
        keep = self.keep
        if values.element_size() != keep.element_size() or values.device != keep.device:
            values.masked_fill_(~self.mask.to(values.device), 0)
        else:
            values.view(keep.dtype).bitwise_and_(keep)

    def mask_weights(self) -> None:
        """Set inactive weights to 0."""
        self.select(self.parameter.detach())
        self.clean = self.parameter._version

    def mask_gradient(self) -> None:
        """Set the gradients of inactive weights to 0."""
        gradient = self.parameter.grad
        if gradient is not None:
            self.select(gradient)
            self.spent = weakref.ref(gradient), gradient._version

    @property
    def written(self) -> bool:
        """Whether somebody has written to the weights since they were last masked."""
        return self.parameter._version != self.clean

    def trespassed(self) -> bool:
        """Whether somebody has written to weights that are inactive."""
        return self.written and int(self.parameter.count_nonzero()) > self.active

    def gradient(self) -> Tensor | None:
        """The dense gradient; raises SparsityError where it has been masked already."""
        gradient = self.parameter.grad
        if gradient is not None and self.spent is not None:
            of, version = self.spent
            if of() is gradient and gradient._version == version:
                raise SparsityError(
                    f"the gradient of {self.name} has been masked already, so nothing can be grown "
                    "by it: change the topology once after each backward(), and before any "
                    "optimiser's step"
                )
        return gradient

    def notice(self, what: str) -> None:
        """Say something of the parameter, once."""
        if what not in self.told:
            self.told.add(what)
            warnings.warn(f"{self.name} {what}", SparsityNotice, stacklevel=4)

    def __getstate__(self) -> dict[str, Any]:
        """A copy belongs to copied tensors, whose versions begin anew."""
        return {**self.__dict__, "clean": -1, "spent": None, "probes": None}


def bits(mask: Tensor, like: Tensor) -> Tensor:
    """The mask as integers of a tensor's width and layout, with all bits set or none."""
    keep = torch.empty_like(like, dtype=BITS[like.element_size()], requires_grad=False)
    return keep.copy_(torch.where(mask, -1, 0))


def least_of(along: int | None, shape: torch.Size) -> int:
    """Weights that a tensor cannot lose: one for each slice that is divided by its norm."""
    return 1 if along is None or along < 0 else shape[along]
