"""Sparse training of any module: masks, exact counts, and what goes with each topology change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hyperprune.errors import SparsityError
from hyperprune.model import Gates
from hyperprune.plugins.defaults import InitScale
from hyperprune.sparsity.allocate import active_total, check_total
from hyperprune.sparsity.groups import fits
from hyperprune.sparsity.masked import Masked
from hyperprune.sparsity.method import Chosen, Method
from hyperprune.sparsity.network import MaskedNetwork, masked_tensors
from hyperprune.sparsity.parameters import masked_parameters, named_by, trained_weights
from hyperprune.sparsity.saving import restore, saved
from hyperprune.sparsity.scale import compensation
from hyperprune.sparsity.schedule import Timing, densities
from hyperprune.sparsity.settings import settled
from hyperprune.sparsity.topology import TensorTopology, Topology
from hyperprune.sparsity.view import NoGradient
from hyperprune.terms.blocks import WHOLE, n_of_m

THRESHOLD = 1e-3
"""Where the threshold of a self-adjusting removal starts (Dettmers & Zettlemoyer 2019)."""


class SparseTraining(MaskedNetwork):
    """Keeps a module sparse while an optimiser trains it, and moves the active weights about.

    Call `step()` where `optimizer.step()` stood: after `backward()`, with dense gradients (clip
    them before: the norm then includes the gradients of inactive weights, as in the published
    code). Weights of two or more dimensions are masked, each tied pair once; `exclude` takes globs
    of parameter names. Masks come from `init`, or from elsewhere as `masks`, which then set the density
    (see `resume`). `init_scale` makes initial weights larger, those apart that the globs of `unscaled`
    name. Each control is a registered name, `{"name": …, option: …}` or a callable: see
    `hyperprune.sparsity`. `preset` names a method that fills in what is not said here.

    When: `every` k steps with `total_steps` known, or wherever `step(update=True)` says, as long as
    less than `stop` of training is done. `density` is reached at once, or, with a higher
    `initial_density`, by d + (d₀ − d)(1 − t/stop)³ (Zhu & Gupta 2017), one update at a time; the
    first step past `stop` prunes what is left to prune. A weight that one update removes and grows
    again keeps its value (`regrown="keep"`) or starts at 0 (`"reset"`).

    `block` makes weights move together (see `hyperprune.sparsity.blocks`): counts are of blocks then,
    and saliences pooled by their mean.

    At every moment Σ active = round(d · Σ N), no tensor is empty, and inactive weights, their
    optimiser state and averages are 0, whoever calls the optimiser's `step`. Raises SparsityError
    where that cannot be, and says in a SparsityNotice what it leaves alone.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        density: float | None = None,
        masks: Mapping[str, Tensor] | str | Path | None = None,
        preset: str | None = None,
        init: Chosen | None = None,
        init_scale: InitScale | None = None,
        unscaled: Sequence[str] | None = None,
        removal: Chosen | None = None,
        growth: Chosen | None = None,
        redistribution: Chosen | None = None,
        schedule: Chosen | None = None,
        removal_rate: float | None = None,
        regrown: str | None = None,
        initial_density: float | None = None,
        exclude: Sequence[str] | None = None,
        every: int | None = None,
        total_steps: int | None = None,
        stop: float | None = None,
        block: str | Sequence[int] | None = None,
        seed: int = 0,
        gates: Mapping[str, Gates] | None = None,
        gradients: Callable[[], Mapping[str, Tensor]] | None = None,
    ) -> None:
        said = {
            "init": init,
            "init_scale": init_scale,
            "unscaled": unscaled,
            "removal": removal,
            "growth": growth,
            "redistribution": redistribution,
            "schedule": schedule,
            "removal_rate": removal_rate,
            "regrown": regrown,
            "initial_density": initial_density,
            "exclude": exclude,
            "every": every,
            "total_steps": total_steps,
            "stop": stop,
            "block": block,
        }
        chosen = settled(preset, said)
        self.method = Method.of(chosen, seed)
        super().__init__(
            model, optimizer, chosen["exclude"], gates, self.method.averages, self.method.block
        )
        self.method = replace(self.method, units=self._units)
        found = None if masks is None else self._found(masks)
        self.timing = Timing(
            *densities(
                self._density(density, chosen["initial_density"], masked=found is not None),
                chosen["initial_density"],
                found and self._places(found),
                lambda density: self.method.total(self._tensors, density),
            ),
            chosen["removal_rate"],
            self.method.schedule,
            chosen["every"],
            chosen["total_steps"],
            chosen["stop"],
        )
        self.keeps_regrown = chosen["regrown"] == "keep"
        self.steps = self.updates = 0
        self.threshold = THRESHOLD
        first = self._initial(gradients) if found is None else found
        as_they_are = named_by("unscaled", chosen["unscaled"], trained_weights(model))
        self._take_over(self._guards)  # last of what may raise: an earlier engine lets go
        with torch.no_grad():
            for tensor, mask in zip(self._tensors, first, strict=True):
                tensor.ever.zero_()
                if found is None and tensor.name not in as_they_are:
                    tensor.parameter.mul_(compensation(mask, chosen["init_scale"]))
        self._take(first)
        self._guards[0].moves = self.timing.every is not None

    @classmethod
    def resume(
        cls,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        *,
        masks: Mapping[str, Tensor] | str | Path | None = None,
        **settings: Any,
    ) -> SparseTraining:
        """Go on from a sparse network: masks by name or in a file, else the weights that are not 0.

        The density is the masks'; a lower one, with `stop`, is pruned towards gradually. Other
        settings are the constructor's. Raises SparsityError for masks that are another network's.
        """
        if masks is None:
            named = masked_parameters(model, settings.get("exclude") or ())
            masks = {name: parameter.detach() != 0 for name, parameter in named}
        return cls(model, optimizer, masks=masks, **settings)

    # ── one training step ────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def step(
        self,
        closure: Callable[[], Any] | None = None,
        *,
        update: bool | None = None,
        progress: float | None = None,
    ) -> Any:
        """Change the topology if due, then take the optimiser's step; gradients end up masked.

        `progress` is the share of the full training that is done, in [0, 1]; without it it is
        counted in steps of `total_steps`; gradual pruning needs one of the two. A `closure` computes
        the loss and its gradients, as for optimisers, and the loss is returned. Raises SparsityError
        where a control's answer is no use, and Diverged when that is because weights or gradients are
        no longer finite; then nothing has changed. While accelerate's optimiser gathers gradients,
        nothing happens.
        """
        if closure is not None and not callable(closure):
            raise SparsityError(
                f"found step({closure!r}); a closure comes first, as for optimisers: say "
                "step(update=True) to change the topology"
            )
        guard = self._in_charge()
        if guard.accumulates:
            return None
        ready = False

        def prepare() -> None:
            nonlocal ready
            if not ready:
                self._prepare(update, progress)
            ready = True
            guard.before()

        def evaluate() -> Any:
            with torch.enable_grad():
                loss = closure() if closure is not None else None
            prepare()
            return loss

        with guard.standing_aside():
            if closure is None:
                prepare()
                loss = self.optimizer.step()
            else:
                loss = self.optimizer.step(evaluate)
            guard.after()
        self.steps += 1
        return loss

    @torch.no_grad()
    def prepare(self, *, update: bool | None = None, progress: float | None = None) -> None:
        """Do all that `step` does but the optimiser's step, which somebody else takes afterwards.

        For loops that step by themselves (Lightning, Hugging Face's Trainer): call it in the callback
        between the backward pass and the step. Raises as `step` does.
        """
        guard = self._in_charge()
        if guard.accumulates:
            return
        guard.expected()
        self._prepare(update, progress)
        self.steps += 1

    def _prepare(self, update: bool | None, progress: float | None) -> None:
        """Follow the gradients, and change the topology if due."""
        for tensor in self._tensors:
            if tensor.trespassed() and not self._trains(tensor):
                tensor.notice(
                    "is trained by an optimiser that SparseTraining does not know, so that it is sparse "
                    "at its own steps alone: give that one to guard()"
                )
            tensor.settle()
            tensor.average_gradient(self.steps)
        due = self.timing.due(self.steps) if update is None else update
        if progress is None:
            if due and self.timing.total_steps is None:
                self.timing.without_progress(self.updates)
            progress = self.timing.progress(self.steps)
        if (due and self.timing.moves(progress)) or self._overdue(progress):
            self.update(progress)

    def _overdue(self, progress: float) -> bool:
        """Whether gradual pruning should have arrived by now and has not."""
        if not self.timing.gradual or self.timing.moves(progress):
            return False
        over = self.method.placed(self._tensors) > self._total(progress)
        return over and any(t.placed > t.least for t in self._tensors if t.parameter.requires_grad)

    def _total(self, progress: float) -> int:
        """Active weights, or blocks, that an update at this progress leaves behind."""
        return self.method.total(self._tensors, self.timing.density_at(progress))

    def _density(
        self, density: float | None, initial: float | None, *, masked: bool
    ) -> float | None:
        """The density that is asked for, or n:m's; raises SparsityError where that is another.

        Of given masks it is their own, where nothing is asked for.
        """
        group = n_of_m(self.method.block)
        if group is None:
            return density
        own = group[0] / group[1]
        if initial is not None or (density is not None and abs(density - own) > 1e-6):
            raise SparsityError(
                f"block {self.method.block!r} keeps {own:g} of the weights throughout; found "
                f"density {density if initial is None else initial}"
            )
        return own if density is None and not masked else density

    def _places(self, masks: Sequence[Tensor]) -> list[Tensor]:
        """What moves as one and is active; raises SparsityError for masks that are not n of m."""
        group = n_of_m(self.method.block)
        for tensor, mask in zip(self._tensors, masks, strict=True):
            if group is not None and not fits(mask, group):
                raise SparsityError(
                    f"masks: {tensor.name} does not keep {self.method.block} everywhere"
                )
        return self._covered(masks)

    # ── topology ─────────────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Remove, redistribute, grow, once, with the gradients at hand; `step` calls this.

        Whole or not at all. Weights that are frozen are left alone, and so are those without a
        gradient where a control asks for it; the others make up the count.
        """
        self._in_charge()
        movable = [t for t in self._tensors if t.parameter.requires_grad]
        for tensor in self._tensors:
            if not tensor.parameter.requires_grad:
                tensor.notice("is frozen, and its topology with it")
            elif tensor.average is not None and not bool(tensor.average.isfinite().all()):
                tensor.average.nan_to_num_(0.0, 0.0, 0.0)
        if not movable:
            return
        while True:
            try:
                change = self.method.change(
                    movable,
                    self.updates,
                    self.timing.density_at(progress),
                    self.timing.rate_at(progress),
                    max(0, self.method.placed(self._tensors) - self._total(progress)),
                    self.threshold,
                )
                break
            except NoGradient:
                idle = [t for t in movable if t.parameter.grad is None]
                if len(idle) in (0, len(movable)):
                    raise
                for tensor in idle:
                    tensor.notice("has no gradient, so that its topology stays")
                movable = [t for t in movable if t.parameter.grad is not None]
        self.threshold = change.threshold
        for tensor in self._tensors:
            tensor.removed = tensor.grown = 0
        for tensor, lost, new in zip(movable, change.gone, change.grown, strict=True):
            self._change(tensor, lost, new)
        self.updates += 1

    def _change(self, tensor: Masked, lost: Tensor, new: Tensor) -> None:
        """Write one tensor's change. In a full tensor a weight that grows again keeps its value and state."""
        if self.keeps_regrown or tensor.active == tensor.size:
            back = lost & new
            lost, new = lost & ~back, new & ~back
        tensor.removed, tensor.grown = int(lost.count_nonzero()), int(new.count_nonzero())
        tensor.set_mask((tensor.mask & ~lost) | new)
        fresh = lost | new
        tensor.parameter.masked_fill_(fresh, 0)
        tensor.clean = tensor.parameter._version
        for guard in self._guards:
            guard.forget(tensor.parameter, fresh)

    @torch.no_grad()
    def _initial(self, gradients: Callable[[], Mapping[str, Tensor]] | None) -> list[Tensor]:
        """The first masks, as the initialisation says."""
        given: dict[str, Tensor] = {}

        def gradient(tensor: Masked) -> Tensor | None:
            if gradients is None:
                return None
            if not given:
                with torch.enable_grad():
                    found = gradients()
                given.update({self._names.get(name, name): g for name, g in found.items()})
            if tensor.name not in given:
                tensor.notice("has no gradient, so that it counts as indifferent to the loss")
                return torch.zeros_like(tensor.parameter)
            return given[tensor.name]

        density = self.timing.density_at(0.0)
        return self.method.first(self._tensors, self._total(0.0), density, gradient)

    # ── what is there to see ─────────────────────────────────────────────────────────────────

    def topology(self) -> Topology:
        """Active, removed, grown and ever-active counts per tensor and gate, now."""
        return Topology(
            step=self.steps,
            updates=self.updates,
            parameters=self._parameters,
            tensors=tuple(
                TensorTopology.of(t.name, t.mask, t.ever, t.gates, t.removed, t.grown)
                for t in self._tensors
            ),
        )

    # ── saving and going on ──────────────────────────────────────────────────────────────────

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """A copy of all that going on to the bit needs: (tensors by flat name, JSON values)."""
        tensors, changes = saved(self._tensors)
        return tensors, {
            "steps": self.steps,
            "updates": self.updates,
            "threshold": self.threshold,
            "changes": changes,
        }

    @torch.no_grad()
    def load_state_dict(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from `state_dict`'s answer, after the weights' and the optimiser's own.

        Raises SparsityError where it is another network's; then nothing has changed.
        """
        restore(self._tensors, tensors, values["changes"])
        self.steps, self.updates = int(values["steps"]), int(values["updates"])
        self.threshold = float(values["threshold"])
        self.apply_masks()
        for guard in self._guards:
            guard.cut()


def check_tensors(
    model: nn.Module,
    *,
    exclude: Sequence[str],
    unscaled: Sequence[str],
    block: str,
    density: float | None = None,
) -> None:
    """Raise SparsityError or PluginError where a network has not the tensors that settings speak of.

    Or where a density leaves too few weights to them. Says what `SparseTraining` would, without its masks;
    the network stays as it is.
    """
    tensors, _ = masked_tensors(model, exclude, None, False, block)
    named_by("unscaled", unscaled, trained_weights(model))
    if density is not None and block not in WHOLE and n_of_m(block) is None:
        total = active_total(density, [tensor.places for tensor in tensors])
        check_total(total, [tensor.least for tensor in tensors])
