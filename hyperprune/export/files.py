"""Exported networks as safetensors files: plain with zeros for anyone, or compact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from hyperprune.errors import RunError
from hyperprune.export.about import read_about
from hyperprune.export.compact import LAYOUT, Dtype, pack, unpack
from hyperprune.export.load import assemble
from hyperprune.export.network import TrainedNetwork
from hyperprune.store import atomic
from hyperprune.store.facts import first_of

Size = Annotated[int, Field(ge=1, le=10**9)]


class Header(BaseModel):
    """The metadata entry `hyperprune` of an exported safetensors file."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Literal["plain", "compact"]
    layout: Literal[1]
    network: dict[str, Any]
    masked: list[str]
    shapes: dict[str, Annotated[list[Size], Field(max_length=8)]] = {}


def write_plain(network: TrainedNetwork, path: Path) -> None:
    """Write weights in float32 under the names the model gives them, zeros included."""
    weights = {name: p.detach() for name, p in network.model.named_parameters()}
    atomic.write_tensors(path, weights, _header(network, "plain"))


def write_compact(network: TrainedNetwork, path: Path, dtype: Dtype = "float32") -> None:
    """Write the compact layout (see `hyperprune.export.compact`); raises RunError."""
    header = _header(network, "compact")
    arrays: dict[str, Tensor] = {}
    for name, parameter in network.model.named_parameters():
        mask = network.masks.get(name)
        arrays |= pack(name, parameter.detach(), mask, dtype, network.recipe.prune.block)
        header["shapes"][name] = list(parameter.shape)
    atomic.write_tensors(path, arrays, header)


def read_file(path: Path) -> TrainedNetwork:
    """Read what `write_plain` or `write_compact` wrote; raises RunError and PluginError.

    What the file says is held against what it holds and what its model needs; nothing in it runs.
    Masks of a plain file are where its weights are not 0.
    """
    arrays, said = atomic.read_tensors(path)
    try:
        header = Header.model_validate_json(json.dumps(said))
    except ValueError as error:
        raise RunError(
            f"{path} is no network that hyperprune exported: {first_of(error)}"
        ) from error
    about = read_about(json.dumps(header.network), path)
    if header.kind == "plain":
        masks = {name: arrays[name] != 0 for name in header.masked if name in arrays}
        return assemble(about, arrays, masks, path)
    weights, masks = {}, {}
    try:
        for name, shape in header.shapes.items():
            weights[name], mask = unpack(name, tuple(shape), arrays)
            if name in header.masked:
                masks[name] = mask
    except KeyError as error:
        raise RunError(f"{path} is damaged: it lacks {error.args[0]}") from error
    except (ValueError, RuntimeError) as error:
        raise RunError(f"{path} is damaged: {error}") from error
    return assemble(about, weights, masks, path)


def _header(network: TrainedNetwork, kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "layout": LAYOUT,
        "network": json.loads(network.about.portable()),
        "masked": sorted(network.masks),
        "shapes": {},
    }
