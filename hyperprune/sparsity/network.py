"""A network whose weights are masked, and the optimisers that train it: the promise, not the method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError
from hyperprune.model import Gates, parameter_count
from hyperprune.sparsity.blocks import covered
from hyperprune.sparsity.guard import Guard
from hyperprune.sparsity.masked import Masked
from hyperprune.sparsity.maskfile import write_masks
from hyperprune.sparsity.modules import canonical_names, homes_of, norms
from hyperprune.sparsity.parameters import canonical, gates_of, masked_parameters
from hyperprune.sparsity.saving import given_masks
from hyperprune.sparsity.summary import Summary
from hyperprune.sparsity.units import UnitBlocks
from hyperprune.terms.blocks import EACH, UNITS


def masked_tensors(
    model: nn.Module,
    exclude: Sequence[str],
    gates: Mapping[str, Gates] | None,
    averages: bool,
    block: str,
) -> tuple[list[Masked], UnitBlocks | None]:
    """A module's tensors to be masked, all of their weights active, and its units where those are masked.

    Raises PluginError or SparsityError where the module has not what is asked for.
    """
    known = gates_of(model) if gates is None else canonical(model, gates)
    names, homes = canonical_names(model), homes_of(model)
    along = {names[norm.direction]: norm.along for norm in norms(model)}
    tensors = [
        Masked.dense(
            name, *homes[id(weight)], known.get(name, ()), along.get(name), averages, block
        )
        for name, weight in masked_parameters(model, exclude)
    ]
    units = UnitBlocks.of(model, tensors) if block == UNITS else None
    if units is not None:
        for tensor in tensors:
            tensor.grid = None  # its units are also other tensors'
    return tensors, units


class MaskedNetwork:
    """Masked tensors of a module, with the optimisers that are kept within the masks."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        exclude: Sequence[str],
        gates: Mapping[str, Gates] | None,
        averages: bool,
        block: str = EACH,
    ) -> None:
        self._names = canonical_names(model)
        self._tensors, self._units = masked_tensors(model, exclude, gates, averages, block)
        self._guards: list[Guard] = [Guard(optimizer, self._tensors)]
        self._parameters = parameter_count(model)

    # ── optimisers ───────────────────────────────────────────────────────────────────────────

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimiser that `step` steps. Setting another keeps the masks and takes it in hand."""
        return self._guards[0].optimizer

    @optimizer.setter
    def optimizer(self, optimizer: torch.optim.Optimizer) -> None:
        guard, old = Guard(optimizer, self._tensors), self._guards[0]
        guard.moves = old.moves
        self._take_over([guard, *self._guards[1:]])
        old.release()

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """The optimiser's: `torch.amp.GradScaler` unscales by them."""
        return self.optimizer.param_groups

    def guard(self, optimizer: torch.optim.Optimizer) -> None:
        """Keep a second optimiser of the same network within the masks, whoever steps it.

        Take its step after this one's, which needs gradients that are not masked yet.
        """
        self._take_over([*self._guards, Guard(optimizer, self._tensors)])

    def release(self) -> None:
        """Let go of the network and its optimisers, which from then on may train it densely."""
        for guard in self._guards:
            guard.release()

    @torch.no_grad()
    def _take_over(self, guards: list[Guard]) -> None:
        """Hook the guards' optimisers, with those of an earlier SparseTraining of the same weights.

        Raises SparsityError where an earlier one has others beside them; then nothing has changed.
        """
        mine = {id(tensor.parameter) for tensor in self._tensors}
        earlier = []
        for other in [other for guard in guards for other in guard.others()]:
            theirs = {id(tensor.parameter) for tensor in other.tensors}
            if other.tensors is self._tensors or not theirs & mine:
                continue
            if not theirs <= mine:
                raise SparsityError(
                    "another SparseTraining keeps some of these weights sparse, and others beside "
                    "them: exclude what it has, or release() it"
                )
            earlier += other.siblings
        self._guards = guards
        held = {id(guard.optimizer) for guard in guards}
        for guard in earlier:
            guard.release()
            if id(guard.optimizer) not in held:
                held.add(id(guard.optimizer))
                guards.append(Guard(guard.optimizer, self._tensors))
        for guard in guards:
            guard.siblings = guards
            guard.hook()
            guard.cut()

    def _trains(self, tensor: Masked) -> bool:
        """Whether an optimiser that is kept within the masks trains a tensor."""
        return any(held is tensor for guard in self._guards for held in guard.held())

    def _in_charge(self) -> Guard:
        guard = self._guards[0]
        if not guard.tensors:
            raise SparsityError(
                "this SparseTraining has let go of its weights: it was released, or another one has "
                "been made for them"
            )
        return guard

    # ── masks ────────────────────────────────────────────────────────────────────────────────

    @property
    def masks(self) -> dict[str, Tensor]:
        """Boolean masks by parameter name, as they are now: a copy."""
        return {tensor.name: tensor.mask.clone() for tensor in self._tensors}

    def counts(self) -> dict[str, int]:
        """Active weights of each masked tensor."""
        return {tensor.name: tensor.active for tensor in self._tensors}

    def summary(self) -> Summary:
        """A table of tensors, densities, dead rows and columns; it prints itself."""
        return Summary.of(self._tensors, self._parameters)

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Set the gradients of inactive weights to 0, so that no optimiser state gathers there."""
        for tensor in self._tensors:
            tensor.mask_gradient()

    @torch.no_grad()
    def apply_masks(self, module: nn.Module | None = None) -> None:
        """Set inactive weights to exactly 0: the network's own, or those of a copy of it.

        Needed after writing weights from outside, and for averages of weights over a time in which
        masks moved (`torch.optim.swa_utils.AveragedModel`, a copy for an EMA). Raises SparsityError
        where a copy is of another network.
        """
        if module is None:
            for tensor in self._tensors:
                tensor.mask_weights()
            return
        weights = canonical(module, dict(module.named_parameters(remove_duplicate=False)))
        for tensor in self._tensors:
            copy = weights.get(tensor.name)
            if copy is None or copy.shape != tensor.mask.shape:
                shape = tuple(tensor.mask.shape)
                raise SparsityError(f"the copy has no {tensor.name} of shape {shape}: not a copy")
        for tensor in self._tensors:
            tensor.select(weights[tensor.name].detach())

    def save_masks(self, path: str | Path) -> None:
        """Write the masks to a safetensors file."""
        write_masks(Path(path), self.masks)

    @torch.no_grad()
    def load_masks(self, masks: Mapping[str, Tensor] | str | Path) -> None:
        """Take over masks by name or from a file; what they cut off is forgotten.

        Raises SparsityError where they are another network's, or of another count.
        """
        found = self._found(masks)
        total, given = (
            sum(int(moved.count_nonzero()) for moved in self._covered(masks))
            for masks in ([tensor.mask for tensor in self._tensors], found)
        )
        if given != total:
            source = "masks" if isinstance(masks, Mapping) else masks
            what = "weights" if self._tensors[0].grid is None else "blocks"
            what = what if self._units is None else UNITS
            raise SparsityError(
                f"{source}: found {given} active {what}; the density asks for {total}"
            )
        for tensor, mask in zip(self._tensors, found, strict=True):
            for guard in self._guards:
                guard.forget(tensor.parameter, mask ^ tensor.mask)
        self._take(found)

    def _found(self, masks: Mapping[str, Tensor] | str | Path) -> list[Tensor]:
        """Masks of the tensors in their order; raises SparsityError where they do not fit."""
        if isinstance(masks, Mapping):
            masks = {self._names.get(name, name): mask for name, mask in masks.items()}
        found = given_masks(self._tensors, masks)
        if self._units is not None:
            whole = self._units.masks(self._units.active(found))
            for tensor, mask, right in zip(self._tensors, found, whole, strict=True):
                if not torch.equal(mask, right):
                    raise SparsityError(f"masks: {tensor.name} is not masked in whole units")
        return found

    def _covered(self, masks: Sequence[Tensor]) -> list[Tensor]:
        """What moves as one and is active in masks of the tensors: units, blocks or weights."""
        if self._units is not None:
            return list(self._units.active(masks).values())
        return [covered(t.grid, mask) for t, mask in zip(self._tensors, masks, strict=True)]

    @torch.no_grad()
    def _take(self, masks: Sequence[Tensor]) -> None:
        """Take over masks; what they cut off is 0 in weights and begins afresh in optimisers."""
        for tensor, mask in zip(self._tensors, masks, strict=True):
            tensor.set_mask(mask)
            tensor.mask_weights()
        for guard in self._guards:
            guard.cut()
