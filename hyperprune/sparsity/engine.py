"""Sparse training of any module: masks, exact counts, and what goes with each topology change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError
from hyperprune.model import Gates, parameter_count
from hyperprune.plugins.defaults import INIT_SCALE, NAMES, InitScale
from hyperprune.runtime.seeds import derive
from hyperprune.sparsity.allocate import active_total
from hyperprune.sparsity.masked import Masked, forget
from hyperprune.sparsity.maskfile import read_masks, write_masks
from hyperprune.sparsity.parameters import gates_of, masked_parameters
from hyperprune.sparsity.scale import check_scale, compensation
from hyperprune.sparsity.schedule import Timing
from hyperprune.sparsity.topology import TensorTopology, Topology
from hyperprune.sparsity.update import Control, grow, initial_masks, redistribute, remove
from hyperprune.sparsity.view import TensorView

BETA = 0.9
"""Decay of the dense-gradient average: the momentum of Dettmers & Zettlemoyer 2019."""
THRESHOLD = 1e-3
"""Where the threshold of a self-adjusting removal starts (Dettmers & Zettlemoyer 2019)."""
KEEPS_ZEROS = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)
"""Optimisers under which weight 0 with gradient 0 and state 0 stays 0, so one masking is enough."""

Chosen = str | Callable[..., Any]


class SparseTraining:
    """Keeps a module sparse while an optimiser trains it, and moves the active weights about.

    Call `step()` where `optimizer.step()` stood: after `backward()`, with dense gradients (clip
    them before: the norm then includes the gradients of inactive weights, as in the published
    code). Weights of two or more dimensions are masked, each tied pair once; `exclude` takes globs
    of parameter names. Each control is a registered name or a callable: see `hyperprune.sparsity`.
    The weights that stay are scaled once, at the start, to make up for those that go (`init_scale`;
    "none" for a module that is trained already).

    When: `every` k steps with `total_steps` known, or wherever `step(update=True)` says, as long as
    less than `stop` of training is done. `density` is reached at once, or, with a higher
    `initial_density`, by d + (d₀ − d)(1 − t/stop)³ (Zhu & Gupta 2017), one update at a time; the
    first step past `stop` prunes what is left to prune.

    At every moment Σ active = round(d · Σ N), no tensor is empty, and inactive weights, their
    optimiser state and averages are 0. Raises SparsityError where that cannot be.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        density: float,
        init: Chosen = NAMES["init"],
        init_scale: InitScale = INIT_SCALE,
        removal: Chosen = NAMES["removal"],
        growth: Chosen = NAMES["growth"],
        redistribution: Chosen = NAMES["redistribution"],
        schedule: Chosen = NAMES["schedule"],
        removal_rate: float = 0.5,
        initial_density: float | None = None,
        exclude: Sequence[str] = (),
        every: int | None = None,
        total_steps: int | None = None,
        stop: float = 1.0,
        seed: int = 0,
        gates: Mapping[str, Gates] | None = None,
        gradients: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> None:
        self.timing = Timing(
            density,
            density if initial_density is None else initial_density,
            removal_rate,
            Control.of("schedule", schedule),
            every,
            total_steps,
            stop,
        )
        self.optimizer, self.seed = optimizer, seed
        self.removal = Control.of("removal", removal)
        self.growth = Control.of("growth", growth)
        self.redistribution = Control.of("redistribution", redistribution)
        self.steps = self.updates = 0
        self.threshold = THRESHOLD
        self.averages = any(
            control.declared("averages", False)
            for control in (self.removal, self.growth, self.redistribution)
        )
        self.parameter_count = parameter_count(model)
        known_gates = gates_of(model) if gates is None else gates
        self._tensors = [
            Masked.dense(name, parameter, known_gates.get(name, ()), self.averages)
            for name, parameter in masked_parameters(model, exclude)
        ]
        check_scale(init_scale)
        self._initialise(Control.of("init", init), init_scale, gradients)

    # ── one training step ────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def step(self, update: bool | None = None, progress: float | None = None) -> None:
        """Change the topology if due, then take the optimiser's step; gradients end up masked.

        `progress` is the share of the full training that is done, in [0, 1]; without it it is
        counted in steps of `total_steps`. Raises SparsityError where a control's answer is no use,
        and Diverged when that is because weights are no longer finite.
        """
        if progress is None:
            progress = self.timing.progress(self.steps)
        due = self.timing.due(self.steps) if update is None else update
        self._average_gradients()
        if (due and self.timing.moves(progress)) or self._overdue(progress):
            self.update(progress)
        self.mask_gradients()
        self.optimizer.step()
        if not (isinstance(self.optimizer, KEEPS_ZEROS) or hasattr(self.optimizer, "keeps_zeros")):
            self.apply_masks()
        self.steps += 1

    def _overdue(self, progress: float) -> bool:
        """Whether gradual pruning should have arrived by now and has not."""
        if not self.timing.gradual or self.timing.moves(progress):
            return False
        return sum(t.active for t in self._tensors) > self._total(progress)

    def _total(self, progress: float) -> int:
        """Active weights that an update at this progress leaves behind."""
        return active_total(
            self.timing.density_at(progress), [t.mask.numel() for t in self._tensors]
        )

    def _average_gradients(self) -> None:
        """Follow the dense gradients. What a rare word's rows keep decays towards denormal numbers,
        on which a CPU is ten times as slow, so that what is next to nothing becomes 0 in time."""
        for tensor in self._tensors:
            if tensor.average is not None and tensor.parameter.grad is not None:
                tensor.average.lerp_(tensor.parameter.grad, 1 - BETA)
                if self.steps % 200 == 199:  # 0.9²⁰⁰ ≈ 1e-9: nothing gets from 1e-20 to 1e-38
                    tensor.average.masked_fill_(tensor.average.abs() < 1e-20, 0)

    @torch.no_grad()
    def mask_gradients(self) -> None:
        """Set the gradients of inactive weights to 0, so that no optimiser state gathers there."""
        for tensor in self._tensors:
            if tensor.parameter.grad is not None:
                tensor.parameter.grad.mul_(tensor.keep)

    @torch.no_grad()
    def apply_masks(self) -> None:
        """Set inactive weights to exactly 0 (needed only after writing weights from outside)."""
        for tensor in self._tensors:
            tensor.parameter.mul_(tensor.keep)

    # ── topology ─────────────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Remove, redistribute, grow, once, with the gradients at hand; `step` calls this."""
        tensors = self._tensors
        before = self._views("remove", progress)
        shrink = sum(t.active for t in tensors) - self._total(progress)
        gone, self.threshold = remove(
            before, self.removal, self.timing.rate_at(progress), shrink, self.threshold
        )
        removed = [int(mask.count_nonzero()) for mask in gone]
        counts = redistribute(before, self.redistribution, removed, sum(removed) - shrink)
        for tensor, mask in zip(tensors, gone, strict=True):
            tensor.mask &= ~mask
            tensor.parameter.masked_fill_(mask, 0)
        grown = grow(self._views("grow", progress), self.growth, counts)
        for tensor, lost, new, count in zip(tensors, gone, grown, counts, strict=True):
            tensor.removed, tensor.grown = int(lost.count_nonzero()), count
            tensor.set_mask(tensor.mask | new)
            forget(self.optimizer, tensor.parameter, lost.logical_or_(new))
        self.updates += 1

    @torch.no_grad()
    def _initialise(
        self,
        init: Control,
        scale: InitScale,
        gradients: Callable[[], Mapping[str, Tensor]] | None,
    ) -> None:
        given: dict[str, Tensor] = {}

        def gradient(name: str) -> Tensor | None:
            if gradients is not None and not given:
                with torch.enable_grad():
                    given.update(gradients())
            return given.get(name)

        views = self._views("init", 0.0, gradient)
        for tensor, mask in zip(
            self._tensors, initial_masks(views, self._total(0.0), init), strict=True
        ):
            tensor.ever.zero_()
            tensor.set_mask(mask)
            tensor.parameter.mul_(compensation(mask, scale))
        self.apply_masks()

    def _views(
        self,
        stage: str,
        progress: float,
        gradient: Callable[[str], Tensor | None] | None = None,
    ) -> list[TensorView]:
        density = self.timing.density_at(progress)
        return [
            TensorView(
                name=tensor.name,
                weight=tensor.parameter.detach(),
                mask=tensor.mask,
                ever_active=tensor.ever,
                generator=self._generator(stage, tensor.name),
                density=density,
                gates=tensor.gates,
                _gradient=_getter(tensor, gradient),
                _average=lambda tensor=tensor: tensor.average,  # type: ignore[misc]
            )
            for tensor in self._tensors
        ]

    def _generator(self, stage: str, name: str) -> torch.Generator:
        """Randomness of one tensor at one update: from the seed and its name, never from before."""
        return torch.Generator().manual_seed(derive(self.seed, stage, self.updates, name))

    # ── what is there to see ─────────────────────────────────────────────────────────────────

    @property
    def masks(self) -> dict[str, Tensor]:
        """Boolean masks by parameter name: the live ones, not to be written to."""
        return {tensor.name: tensor.mask for tensor in self._tensors}

    def counts(self) -> dict[str, int]:
        """Active weights of each masked tensor."""
        return {tensor.name: tensor.active for tensor in self._tensors}

    def topology(self) -> Topology:
        """Active, removed, grown and ever-active counts per tensor and gate, now."""
        return Topology(
            step=self.steps,
            updates=self.updates,
            parameters=self.parameter_count,
            tensors=tuple(
                TensorTopology.of(t.name, t.mask, t.ever, t.gates, t.removed, t.grown)
                for t in self._tensors
            ),
        )

    # ── saving and going on ──────────────────────────────────────────────────────────────────

    def save_masks(self, path: str | Path) -> None:
        """Write the masks to a safetensors file."""
        write_masks(Path(path), self.masks)

    @torch.no_grad()
    def load_masks(self, path: str | Path) -> None:
        """Take over masks from a file; what they cut off is forgotten. Raises SparsityError."""
        found = read_masks(Path(path), {t.name: tuple(t.mask.shape) for t in self._tensors})
        total = sum(tensor.active for tensor in self._tensors)
        given = sum(int(mask.count_nonzero()) for mask in found.values())
        if given != total:
            raise SparsityError(
                f"{path}: found {given} active weights; the density asks for {total}"
            )
        for tensor in self._tensors:
            mask = found[tensor.name].to(tensor.mask.device)
            forget(self.optimizer, tensor.parameter, mask ^ tensor.mask)
            tensor.set_mask(mask)
        self.apply_masks()

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that going on to the bit needs: (tensors by flat name, JSON values)."""
        tensors: dict[str, Tensor] = {}
        for t in self._tensors:
            tensors[f"mask.{t.name}"] = t.mask
            tensors[f"ever.{t.name}"] = t.ever
            if t.average is not None:
                tensors[f"average.{t.name}"] = t.average
        values: dict[str, Any] = {
            "steps": self.steps,
            "updates": self.updates,
            "threshold": self.threshold,
            "changes": {t.name: [t.removed, t.grown] for t in self._tensors},
        }
        return tensors, values

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from `state_dict`'s answer; raises SparsityError where it is another network's."""
        for t in self._tensors:
            kept = {"mask": t.mask, "ever": t.ever}
            if t.average is not None:
                kept["average"] = t.average
            for part, own in kept.items():
                saved = tensors.get(f"{part}.{t.name}")
                if saved is None or saved.shape != own.shape:
                    shape = "nothing" if saved is None else tuple(saved.shape)
                    raise SparsityError(
                        f"saved {part} of {t.name}: found {shape}, expected {tuple(own.shape)}"
                    )
                own.copy_(saved)
            t.set_mask(t.mask.clone())
            t.removed, t.grown = values["changes"][t.name]
        self.steps, self.updates = int(values["steps"]), int(values["updates"])
        self.threshold = float(values["threshold"])
        self.apply_masks()


def _getter(
    tensor: Masked, gradient: Callable[[str], Tensor | None] | None
) -> Callable[[], Tensor | None]:
    if gradient is not None:
        return lambda: gradient(tensor.name)
    return lambda: tensor.parameter.grad
