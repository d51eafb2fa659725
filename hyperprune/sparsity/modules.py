"""What is known of the modules around a parameter: wrappers, gates, norms computed from weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from hyperprune.errors import SparsityError
from hyperprune.model import inside

STACKED = {
    nn.LSTM: ("input", "forget", "cell", "output"),
    nn.LSTMCell: ("input", "forget", "cell", "output"),
    nn.GRU: ("reset", "update", "new"),
    nn.GRUCell: ("reset", "update", "new"),
}
"""Gate order of PyTorch's own recurrent layers."""
STACKS = re.compile(r"weight_(ih|hh)(_l\d+(_reverse)?)?$")
"""Parameters of those layers whose rows stack the gates."""
DERIVED = re.compile(r"(?:parametrizations\.)?(\w+?)(?:\.original\d*|_raw|_orig|_v)$")
"""Parameters that a weight is computed from: torch's parametrisations, old and new, weight drop."""


def canonical_names(model: nn.Module) -> dict[str, str]:
    """Each parameter's name without what wrappers put into it, by the name as it stands.

    DataParallel, DistributedDataParallel and AveragedModel add `module.`, torch.compile `_orig_mod.`.
    """
    found = {}
    for name, _ in model.named_parameters(remove_duplicate=False):
        module: object = model
        parts = []
        for part in name.split("."):
            if not (isinstance(module, nn.Module) and part == inside(module)):
                parts.append(part)
            module = getattr(module, part, None)
        found[name] = ".".join(parts)
    return found


def homes_of(model: nn.Module) -> dict[int, tuple[nn.Module, str]]:
    """Which module has each parameter, by the parameter's id, and its name there; tied ones: first."""
    found: dict[int, tuple[nn.Module, str]] = {}
    for module in model.modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                found.setdefault(id(parameter), (module, key))
    return found


def computed(names: Collection[str]) -> set[str]:
    """Weights that weight drop computes from a raw one beside or around their module."""
    found = set()
    for name in names:
        *path, last = name.split(".")
        around = (path, path[:-1]) if path else (path,)
        if any(".".join([*place, f"{last}_raw"]) in names for place in around):
            found.add(name)
    return found


def refuse(name: str, parameter: nn.Parameter) -> None:
    """Raise SparsityError for a parameter that cannot be masked."""
    if isinstance(parameter, nn.parameter.UninitializedParameter):
        raise SparsityError(f"{name} has no shape yet: run the module once before it is pruned")
    if parameter.is_complex():
        raise SparsityError(f"{name} is complex: exclude it, or hold its parts as real weights")
    if hasattr(parameter, "placements") or type(parameter).__name__ == "FlatParameter":
        raise SparsityError(
            f"{name} is sharded (FSDP): masks need whole tensors; use DistributedDataParallel"
        )


@dataclass(frozen=True)
class Norm:
    """A weight that is divided by a norm: its magnitude, if a parameter, and its direction."""

    magnitude: str | None
    direction: str
    along: int  # the dimension whose slices have a norm each; -1: the tensor has one


def norms(model: nn.Module) -> Iterator[Norm]:
    """Yield the weight and spectral norms of a module, old style and new, by parameter names."""
    for prefix, module in model.named_modules():
        dot = f"{prefix}." if prefix else ""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm):
                stem = f"{dot}{hook.name}"
                yield Norm(f"{stem}_g", f"{stem}_v", hook.dim)
            elif isinstance(hook, SpectralNorm):
                yield Norm(None, f"{dot}{hook.name}_orig", -1)
        if not parametrize.is_parametrized(module):
            continue
        lists = module.parametrizations
        assert isinstance(lists, nn.ModuleDict)
        for weight, chain in lists.items():
            stem = f"{dot}parametrizations.{weight}.original"
            for step in chain.children():
                kind = type(step).__name__  # torch keeps these classes to itself
                if kind == "_WeightNorm":
                    yield Norm(f"{stem}0", f"{stem}1", int(step.dim))  # type: ignore[arg-type]
                elif kind == "_SpectralNorm":
                    yield Norm(None, stem, -1)


def layer_gates(model: nn.Module) -> Mapping[str, tuple[str, ...]]:
    """Gates of the parameters of PyTorch's recurrent layers, and of what those are computed from."""
    found = {}
    for prefix, module in model.named_modules():
        dot = f"{prefix}." if prefix else ""
        layers = [module, *module.children()]  # weight drop keeps the raw weight around its layer
        for name, _ in module.named_parameters():
            derived = DERIVED.fullmatch(name)
            weight = derived[1] if derived else name
            for layer in layers if derived else layers[:1]:
                gates = next((g for kind, g in STACKED.items() if isinstance(layer, kind)), None)
                if gates and STACKS.fullmatch(weight):
                    found[f"{dot}{name}"] = gates
    return found
