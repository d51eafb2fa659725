"""Optimisers by the names that recipes give them."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from hyperprune.errors import RunError, nearest
from hyperprune.optim.contract import Optimizer
from hyperprune.optim.snt_asgd import SNTASGD


def _step(kind: type[torch.optim.Optimizer]) -> Callable[..., Any]:
    """torch's step without its wrapper, which imports torch's compiler for the sake of compiled steps."""
    inner = inspect.unwrap(kind.step)

    @torch.no_grad()
    def step(self: torch.optim.Optimizer, closure: Callable[[], float] | None = None) -> Any:
        return inner(self, closure)

    return step


class SGD(Optimizer, torch.optim.SGD):
    """torch's SGD."""

    step = _step(torch.optim.SGD)
    keeps_zeros = True


class Adam(Optimizer, torch.optim.Adam):
    """torch's Adam."""

    step = _step(torch.optim.Adam)
    keeps_zeros = True


class AdamW(Optimizer, torch.optim.AdamW):
    """torch's AdamW."""

    step = _step(torch.optim.AdamW)
    keeps_zeros = True


def build_optimizer(
    name: str, model: nn.Module, *, lr: float, weight_decay: float, nonmono: int = 5
) -> Optimizer:
    """Make an optimiser by its recipe name: snt_asgd, sgd, adam or adamw; raises RunError for others."""
    _spare_the_compiler()
    named = model.named_parameters()
    if name == "snt_asgd":
        return SNTASGD(named, lr=lr, weight_decay=weight_decay, nonmono=nonmono)
    plain: dict[str, Any] = {"sgd": SGD, "adam": Adam, "adamw": AdamW}
    if name not in plain:
        known = ("snt_asgd", *plain)
        raise RunError(f"no optimizer {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    optimizer: Optimizer = plain[name](named, lr=lr, weight_decay=weight_decay)
    return optimizer


def _spare_the_compiler() -> None:
    """Keep torch from importing its compiler, a second of every process, to make an optimiser.

    `torch._compile` does so at the first call of a method that is not to be compiled, and remembers what
    comes of it beside the function. Where nothing is compiled, that is the function itself.
    """
    if "torch._dynamo" in sys.modules:
        return
    for name in ("add_param_group", "zero_grad"):
        inner = getattr(getattr(torch.optim.Optimizer, name), "__wrapped__", None)
        if inner is not None and not hasattr(inner, "__dynamo_disable"):
            setattr(inner, "__dynamo_disable", inner)
