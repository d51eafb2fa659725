"""A network without its dead units: narrower, and the same outputs to rounding.

A unit lives where a chain of weights that are not 0 leads from it to an output; all others go, from
every weight that they stand in. Where units stand, and how the network is built without them, the
model says: `units` and `narrowed` of `hyperprune.model.RecurrentLM`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from hyperprune.errors import PluginError
from hyperprune.export.load import assemble
from hyperprune.export.network import TrainedNetwork
from hyperprune.model import Place, Units


def shrunk(network: TrainedNetwork) -> TrainedNetwork:
    """The network without dead units, itself where there are none.

    Its recipe has the widths that are left, so that it is built and trained on as any other. Raises
    PluginError where its model cannot be built narrower.
    """
    model: Any = network.model
    about = network.about
    if not hasattr(model, "units") or not hasattr(model, "narrowed"):
        raise PluginError(
            f"model {about.recipe.model.name!r} does not say where its units stand, so none can be cut "
            "out; it needs units() and narrowed(): see hyperprune.model.RecurrentLM"
        )
    weights = {name: parameter.detach() for name, parameter in model.named_parameters()}
    units: Mapping[str, Units] = model.units()
    kept = living(weights, units)
    gone = {name: int((~stays).sum()) for name, stays in kept.items() if not stays.all()}
    int8 = None if network.int8 is None else shrunk(network.int8)
    if not gone:
        return network if int8 is network.int8 else replace(network, int8=int8)
    settings = about.recipe.model
    options = {**settings.options, **model.narrowed(kept)}
    recipe = about.recipe.model_copy(
        update={"model": settings.model_copy(update={"options": options})}
    )
    narrow, masks = cut(weights, units, kept), cut(network.masks, units, kept)
    names = [name for name in units if name in gone or name in about.cut]
    changes = {
        "recipe": recipe,
        "active": sum(int(mask.sum()) for mask in masks.values()),
        "masked": sum(mask.numel() for mask in masks.values()),
        "total": sum(weight.numel() for weight in narrow.values()),
        "cut": {name: about.cut.get(name, 0) + gone.get(name, 0) for name in names},
    }
    where = f"{about.candidate} without its dead units"
    narrowed = assemble(about.model_copy(update=changes), narrow, masks, where)
    return replace(narrowed, int8=int8)


def living(weights: Mapping[str, Tensor], units: Mapping[str, Units]) -> dict[str, Tensor]:
    """Which units (size,) of each group are felt at an output; of a group without any, the first stays.

    From the outputs backwards: every round finds the units that send to one already found, or to a
    row that is nobody's, such as a word's.
    """
    alive = {name: torch.zeros(group.size, dtype=torch.bool) for name, group in units.items()}
    while True:
        ends = [_stays(weights, units, alive, dim) for dim in (0, 1)]
        found = {
            name: alive[name]
            | torch.stack(
                [
                    _sent(weights[place.weight], place, ends[1 - place.dim], group.size)
                    for place in group.places
                    if place.sends
                ]
            ).any(0)
            for name, group in units.items()
        }
        if all(torch.equal(found[name], alive[name]) for name in units):
            break
        alive = found
    for stays in alive.values():
        stays[0] |= not bool(stays.any())  # a layer cannot be without units
    return alive


def cut(
    tensors: Mapping[str, Tensor], units: Mapping[str, Units], kept: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Tensors by name, with the entries of the kept units alone."""
    narrow = dict(tensors)
    for dim in (0, 1):
        for name, stays in _stays(tensors, units, kept, dim).items():
            narrow[name] = narrow[name].index_select(dim, stays.nonzero().flatten())
    return narrow


def _stays(
    tensors: Mapping[str, Tensor],
    units: Mapping[str, Units],
    kept: Mapping[str, Tensor],
    dim: int,
) -> dict[str, Tensor]:
    """Entries of a dimension of each tensor that are a kept unit's, or nobody's."""
    found = {
        name: torch.ones(tensor.shape[dim], dtype=torch.bool)
        for name, tensor in tensors.items()
        if tensor.dim() > dim
    }
    for name, group in units.items():
        for place in group.places:
            if place.dim == dim and place.weight in found:
                for start in place.starts:
                    found[place.weight][start : start + group.size] = kept[name]
    return found


def _sent(weight: Tensor, place: Place, ends: Mapping[str, Tensor], size: int) -> Tensor:
    """Which of the units at a place send something to an end that is felt: (size,)."""
    sends = (weight != 0).movedim(place.dim, 0)[:, ends[place.weight]].any(1)
    return torch.stack([sends[start : start + size] for start in place.starts]).any(0)
