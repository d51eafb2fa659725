"""Which parameters of a module are masked, and how their rows divide into gates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from torch import nn

from hyperprune.errors import SparsityError, nearest
from hyperprune.model import Gates

STACKED = {
    nn.LSTM: ("input", "forget", "cell", "output"),
    nn.GRU: ("reset", "update", "new"),
}
"""Gate order of PyTorch's own recurrent layers."""


def masked_parameters(
    model: nn.Module, exclude: Sequence[str] = ()
) -> Iterator[tuple[str, nn.Parameter]]:
    """Yield (name, parameter) of every trained weight matrix that no glob excludes, tied ones once.

    Raises SparsityError for a glob that matches nothing, or when nothing is left.
    """
    weights = {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.dim() >= 2 and parameter.requires_grad and parameter.numel()
    }
    for glob in exclude:
        if not any(fnmatchcase(name, glob) for name in weights):
            known = ", ".join(weights)
            raise SparsityError(
                f"exclude {glob!r} matches no weight{nearest(glob, weights)}; weights: {known}"
            )
    kept = [
        (name, parameter)
        for name, parameter in weights.items()
        if not any(fnmatchcase(name, glob) for glob in exclude)
    ]
    if not kept:
        raise SparsityError("no weight is left to mask: the module has none or all are excluded")
    yield from kept


def gates_of(model: nn.Module) -> Mapping[str, Gates]:
    """Gates of each parameter that stacks them, by parameter name.

    PyTorch's LSTM and GRU are known; a model's own `gates()` adds to that and goes first.
    """
    found: dict[str, Gates] = {}
    for prefix, module in model.named_modules():
        names = next((n for kind, n in STACKED.items() if isinstance(module, kind)), None)
        for name, _ in module.named_parameters(recurse=False):
            if names and name.startswith(("weight_ih", "weight_hh")):
                found[f"{prefix}.{name}" if prefix else name] = names
    own = getattr(model, "gates", None)
    if callable(own):
        found.update(own())
    return found
