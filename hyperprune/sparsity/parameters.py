"""Which parameters of a module are masked, and how their rows divide into gates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import TypeVar

from torch import nn

from hyperprune.errors import SparsityError, nearest
from hyperprune.model import Gates, unwrapped
from hyperprune.sparsity.modules import (
    canonical_names,
    computed,
    layer_gates,
    norms,
    refuse,
)

T = TypeVar("T")


def trained_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every trained weight of two or more dimensions, by its name without wrappers, tied ones once.

    The magnitude of a weight norm is a norm's parameter, whatever its shape.
    """
    names = canonical_names(model)
    left_out = {norm.magnitude for norm in norms(model)} | computed(names)
    weights = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad or name in left_out:
            continue
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            refuse(name, parameter)
        if parameter.dim() >= 2 and parameter.numel():
            weights[names[name]] = parameter
    return weights


def masked_parameters(
    model: nn.Module, exclude: Sequence[str] = ()
) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield (name, parameter) of every trained weight that no glob excludes.

    Raises SparsityError for a glob that matches nothing, for what cannot be masked, or when nothing is
    left.
    """
    weights = trained_weights(model)
    excluded = named_by("exclude", exclude, weights)
    kept = [(name, parameter) for name, parameter in weights.items() if name not in excluded]
    for name, parameter in kept:
        refuse(name, parameter)
    if not kept:
        raise SparsityError("no weight is left to mask: the module has none or all are excluded")
    yield from kept


def named_by(setting: str, globs: Sequence[str], weights: Collection[str]) -> set[str]:
    """Weights that a setting's globs name; raises SparsityError for a glob that matches none."""
    for glob in globs:
        if not any(fnmatchcase(name, glob) for name in weights):
            raise SparsityError(
                f"{setting} {glob!r} matches no weight{nearest(glob, weights)}; weights: "
                f"{', '.join(weights)}"
            )
    return {name for name in weights if any(fnmatchcase(name, glob) for glob in globs)}


def gates_of(model: nn.Module) -> dict[str, Gates]:
    """Gates of each parameter that stacks them, by parameter name.

    PyTorch's own layers and cells are known; a model's own `gates()` adds to that and goes first.
    """
    found: dict[str, Gates] = dict(canonical(model, layer_gates(model)))
    own = getattr(unwrapped(model), "gates", None)
    if callable(own):
        found.update(own())
    return found


def canonical(model: nn.Module, named: Mapping[str, T]) -> dict[str, T]:
    """What is given by parameter name, by the name without wrappers."""
    names = canonical_names(model)
    return {names.get(name, name): value for name, value in named.items()}
