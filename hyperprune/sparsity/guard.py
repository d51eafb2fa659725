"""Keeping an optimiser within the masks: its gradients, its weights and its state."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn, optim

from hyperprune.errors import SparsityError, SparsityNotice
from hyperprune.sparsity.masked import Masked

PROVEN = (
    optim.SGD,
    optim.Adam,
    optim.AdamW,
    optim.NAdam,
    optim.RAdam,
    optim.RMSprop,
    optim.Adadelta,
    optim.Adagrad,
    optim.Rprop,
)
"""Optimisers whose state stays as it was where weight and gradient are 0. Their subclasses are not
meant; an optimiser class of one's own says so of itself with `keeps_zeros = True`."""
FRESH = {(optim.Rprop, "step_size"): "lr", (optim.Adagrad, "sum"): "initial_accumulator_value"}
"""State that does not begin at 0, and the optimiser's setting that gives its initial value."""
REFUSED = {
    optim.LBFGS: "LBFGS searches along lines through the dense weights",
    optim.SparseAdam: "SparseAdam takes no dense gradients, and growth needs them",
}
UNSEEN = 10
"""Optimiser steps that may bypass the engine before it warns."""


class Guard:
    """Keeps inactive weights, and what an optimiser knows of them, at 0 whoever calls its `step`.

    Weights and state are masked after every step, unless the optimiser's arithmetic is known to leave
    both alone (`PROVEN`): then some inactive weights are looked at after every step, and if one has
    moved, by a hook, a patch or an ε of 0, the optimiser counts as unproven from then on.

    State tensors of a parameter's shape count as one number a weight; an optimiser that keeps other
    things in that shape offers `forget(parameter, where)`, which starts the marked entries afresh, and
    is then left to it.
    """

    def __init__(self, optimizer: optim.Optimizer, tensors: Sequence[Masked]) -> None:
        for kind, reason in REFUSED.items():
            if isinstance(optimizer, kind):
                raise SparsityError(f"{reason}; use another optimiser")
        self.optimizer, self.tensors = optimizer, tensors
        self.siblings: list[Guard] = [self]  # those of the same weights
        own = vars(type(optimizer)).get("keeps_zeros", False)
        self.proven = type(optimizer) in PROVEN or bool(own)
        self.aside = False
        self.foreign = False  # state was loaded that no mask has cut
        # Whether masks are to move with the optimiser's steps, so that the engine must see them.
        self.moves = False
        self.unseen = 0  # steps since the engine last had its turn
        self._handles: list[Any] = []
        if not self.held():
            raise SparsityError(
                "the optimiser trains none of the weights to be masked: make it from this model's "
                "parameters"
            )

    # ── around a step ────────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def before(self) -> None:
        """Mask gradients, and whatever was written to weights or state since the last step."""
        held = self.held()
        for tensor in held:
            tensor.settle()
            tensor.mask_gradient()
        if self.foreign:
            self.cut()

    @torch.no_grad()
    def after(self) -> None:
        """Mask what the step may have moved; a proof that turns out wrong is not relied on again."""
        held = self.held()
        if self.proven and any(tensor.strayed() for tensor in held):
            self.proven = False
        for tensor in held:
            if self.proven and tensor.probed:
                tensor.clean = tensor.parameter._version
            else:
                tensor.mask_weights()
            if not self.proven:
                self._cut(tensor)

    @property
    def accumulates(self) -> bool:
        """Whether the optimiser's step would do nothing yet, as accelerate's wrapper says of itself."""
        state = getattr(self.optimizer, "gradient_state", None)
        return state is not None and not getattr(state, "sync_gradients", True)

    def expected(self) -> Guard:
        """Know that the engine has had its turn before the step that comes."""
        self.unseen = 0
        return self

    @contextmanager
    def standing_aside(self) -> Iterator[None]:
        """Let the engine call `before` and `after` itself within the block."""
        self.expected().aside = True
        try:
            yield
        finally:
            self.aside = False

    # ── state ────────────────────────────────────────────────────────────────────────────────

    @torch.no_grad()
    def cut(self) -> None:
        """Reset the optimiser's state of inactive weights to its initial value."""
        for tensor in self.tensors:
            self._cut(tensor)
        self.foreign = False

    def _cut(self, tensor: Masked) -> None:
        own = hasattr(self.optimizer, "forget")
        strays = tensor.mask.new_zeros(()) if own else None
        for _, value, fresh in self._per_weight(tensor.parameter):
            if strays is not None:
                if value.is_floating_point():  # others are its counters
                    strays = strays | (value != fresh)
            elif fresh == 0:
                tensor.select(value)
            else:
                value.masked_fill_(~tensor.mask, fresh)
        if strays is not None and strays.dim():
            strays = strays & ~tensor.mask
            if bool(strays.any()):
                self.forget(tensor.parameter, strays)

    @torch.no_grad()
    def forget(self, parameter: nn.Parameter, where: Tensor) -> None:
        """Start some entries of a parameter afresh in the optimiser's state."""
        own = getattr(self.optimizer, "forget", None)
        if own is not None:
            if parameter in self.optimizer.state:
                own(parameter, where)
            return
        for _, value, fresh in self._per_weight(parameter):
            value.masked_fill_(where, fresh)

    def _per_weight(self, parameter: nn.Parameter) -> Iterator[tuple[str, Tensor, float]]:
        """Yield (key, tensor, what it begins at) of the state that has one number a weight."""
        for key, value in self.optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                yield key, value, self._fresh(key, parameter)

    def _fresh(self, key: str, parameter: nn.Parameter) -> float:
        for (kind, name), setting in FRESH.items():
            if name == key and isinstance(self.optimizer, kind):
                for group in self.optimizer.param_groups:
                    if any(own is parameter for own in group["params"]):
                        return float(group[setting])
        return 0.0

    # ── the optimiser's hooks ────────────────────────────────────────────────────────────────

    def held(self) -> list[Masked]:
        """Masked tensors that the optimiser trains, now."""
        own = {id(p) for group in self.optimizer.param_groups for p in group["params"]}
        return [tensor for tensor in self.tensors if id(tensor.parameter) in own]

    def others(self) -> list[Guard]:
        """Guards that the optimiser has already."""
        hooks = getattr(self.optimizer, "_optimizer_step_post_hooks", {}).values()
        return [hook.guard for hook in hooks if isinstance(hook, _Hook)]

    def hook(self) -> None:
        """Be called around every step and after every load.

        An optimiser that is none of torch's has no hooks: only the engine's own step masks then.
        """
        if not self._handles and hasattr(self.optimizer, "_optimizer_step_post_hooks"):
            self._handles = [
                self.optimizer.register_step_pre_hook(_Hook(self, Guard._on_step)),
                self.optimizer.register_step_post_hook(_Hook(self, Guard._on_stepped)),
                self.optimizer.register_load_state_dict_post_hook(_Hook(self, Guard._on_load)),
            ]

    def release(self) -> None:
        """Let go of the optimiser."""
        for handle in self._handles:
            handle.remove()
        self._handles, self.tensors = [], ()

    def _on_step(self, optimizer: Any, args: Any, kwargs: Any) -> Any:
        if self.aside:
            return None
        self.unseen += 1
        if self.moves and self.unseen == UNSEEN:
            warnings.warn(
                f"{UNSEEN} steps of the optimiser have passed SparseTraining by: weights stay sparse, "
                "but the topology stands still; call its step() instead, or its prepare() before",
                SparsityNotice,
                stacklevel=4,
            )
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if closure is None:
            self.before()
            return None
        for tensor in self.held():
            tensor.settle()  # gradients that are gathered already count, and the closure adds to them

        @functools.wraps(closure)
        def masked() -> Any:
            loss = closure()
            self.before()
            return loss

        if "closure" in kwargs:
            return args, {**kwargs, "closure": masked}
        return (args[0], masked, *args[2:]), kwargs

    def _on_stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if not self.aside:
            self.after()

    def _on_load(self, optimizer: Any) -> None:
        self.foreign = True

    def __getstate__(self) -> dict[str, Any]:
        """A copied optimiser has lost its hooks: they are the engine's to make again."""
        return {**self.__dict__, "_handles": [], "aside": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.tensors:
            self.hook()


class _Hook:
    """One of a guard's hooks, by which another guard finds it."""

    def __init__(self, guard: Guard, call: Callable[..., Any]) -> None:
        self.guard, self.call = guard, call

    def __call__(self, *given: Any) -> Any:
        return self.call(self.guard, *given)
