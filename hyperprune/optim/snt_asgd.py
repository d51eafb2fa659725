"""Averaged SGD for sparse networks: each weight is averaged from the step it was last grown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from hyperprune.optim.contract import Optimizer


class SNTASGD(Optimizer):
    """Sparse non-monotonically triggered averaged SGD (Liu et al. 2021; Merity et al. 2018).

    Plain SGD with weight decay, until a validation loss is worse than the best of all earlier ones
    but the last `nonmono`, with more than `nonmono` of them logged. From then on, and never back,
    each weight also has an average: of the values it took from its second step on, steps being
    counted since averaging began or since the weight was last grown. With s such steps that is
    a ← a + (w − a)/(s − 1), kept as a sum of s − 1 values, which costs one addition a step however
    many ages the weights have. A weight that has no average yet (s < 2) stands for itself.
    """

    keeps_zeros = True  # weight 0 with gradient 0 and state 0 stays exactly 0

    def __init__(
        self, params: Any, *, lr: float, weight_decay: float = 1.2e-6, nonmono: int = 5
    ) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay})
        self.nonmono = nonmono
        self.losses: list[float] = []
        self.averaging = False
        self.averaged_steps = 0

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step: w ← w − lr (g + decay · w), then, once triggered, average."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.averaged_steps += self.averaging
        for group in self.param_groups:
            trained = [p for p in group["params"] if p.grad is not None]
            gradients = [p.grad for p in trained]
            sgd(
                trained, gradients, [None] * len(trained), lr=group["lr"],
                weight_decay=group["weight_decay"], momentum=0.0, dampening=0.0, nesterov=False,
                maximize=False, has_sparse_grad=False,
                fused=all(g.layout == torch.strided for g in gradients),
            )  # fmt: skip
            if self.averaging:
                for parameter in group["params"]:
                    self._add_to_sum(parameter)
        return loss

    def _add_to_sum(self, parameter: nn.Parameter) -> None:
        """Sum a weight's values from its second step on: `since` is the step before its first."""
        state = self.state[parameter]
        if "sum" not in state:
            state["sum"] = torch.zeros_like(parameter, dtype=_precise(parameter))
            if before := self.averaged_steps - 1:  # of a group that was added later
                state["since"] = torch.full_like(parameter, before, dtype=torch.int32)
            return
        state["sum"].add_(parameter)
        if state.get("newest") == self.averaged_steps - 1:
            state["sum"].masked_fill_(state["since"] == self.averaged_steps - 1, 0)

    @torch.no_grad()
    def forget(self, parameter: nn.Parameter, where: Tensor) -> None:
        """Start the marked entries afresh: no average, step count 0."""
        state = self.state.get(parameter)
        if not state or not self.averaged_steps:
            return
        if "since" not in state:
            state["since"] = torch.zeros_like(parameter, dtype=torch.int32)
        state["since"].masked_fill_(where, self.averaged_steps)
        state["sum"].masked_fill_(where, 0)
        state["newest"] = self.averaged_steps

    def observe(self, valid_loss: float) -> None:
        """Log a validation loss; start averaging when progress is no longer monotone enough."""
        logged = self.losses
        if len(logged) > self.nonmono and valid_loss > min(logged[: -self.nonmono]):
            self.averaging = True
        logged.append(valid_loss)

    @torch.no_grad()
    def restart(self) -> None:
        """Fine-tune (Merity et al. 2018): the averages become the weights, and averaging, on from
        now, starts afresh; so does the log of losses.
        """
        for _, parameter in self.named():
            parameter.copy_(self.average(parameter))
        self.state.clear()
        self.losses.clear()
        self.averaging, self.averaged_steps = True, 0

    @torch.no_grad()
    def average(self, parameter: nn.Parameter) -> Tensor:
        """Average of a parameter; the parameter itself where there is none yet."""
        state = self.state.get(parameter)
        if not state or self.averaged_steps < 2:
            return parameter.detach().clone()
        if "since" not in state:
            return torch.div(state["sum"], self.averaged_steps - 1).to(parameter.dtype)
        terms = self.averaged_steps - 1 - state["since"]  # values in the sum: s − 1
        found = torch.where(terms > 0, state["sum"] / terms, parameter.detach())
        return found.to(parameter.dtype)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put averages in the weights' place within the block, then restore the weights exactly."""
        if not self.averaging:
            yield
            return
        kept = [parameter.detach().clone() for _, parameter in self.named()]
        with torch.no_grad():
            for _, parameter in self.named():
                parameter.copy_(self.average(parameter))
        try:
            yield
        finally:
            with torch.no_grad():
                for (_, parameter), weights in zip(self.named(), kept, strict=True):
                    parameter.copy_(weights)

    def flat_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All state as (tensors by flat name, JSON values)."""
        tensors, values = super().flat_state()
        return tensors, {**values, **self._course()}

    def load_flat_state(self, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
        """Go on from `flat_state`'s answer."""
        super().load_flat_state(tensors, values)
        self._follow(values)

    def state_dict(self) -> dict[str, Any]:
        """torch's state, and where averaging stands."""
        return {**super().state_dict(), "course": self._course()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict`'s answer."""
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "course"})
        self._follow(state_dict["course"])
        # torch has cast all state to the weights' dtype, where counts and sums may be rounded.
        places = (place for group in state_dict["param_groups"] for place in group["params"])
        for place, (_, parameter) in zip(places, self.named(), strict=True):
            saved = state_dict["state"].get(place, {})
            for key, dtype in (("sum", _precise(parameter)), ("since", torch.int32)):
                if key in saved:
                    self.state[parameter][key] = saved[key].to(parameter.device, dtype, copy=True)

    def _course(self) -> dict[str, Any]:
        return {
            "losses": list(self.losses),
            "averaging": self.averaging,
            "averaged_steps": self.averaged_steps,
        }

    def _follow(self, values: Mapping[str, Any]) -> None:
        self.losses = [float(loss) for loss in values["losses"]]
        self.averaging = bool(values["averaging"])
        self.averaged_steps = int(values["averaged_steps"])

    def __getstate__(self) -> dict[str, Any]:
        """torch copies and pickles an optimiser without what a subclass keeps."""
        return {**super().__getstate__(), **self._course(), "nonmono": self.nonmono}


def _precise(parameter: Tensor) -> torch.dtype:
    """What a parameter's values are summed in: bfloat16's eight bits are full after 256 equal ones."""
    return torch.promote_types(parameter.dtype, torch.float32)
