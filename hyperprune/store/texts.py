"""Texts and sequences kept by their hash, for workers that have no copy of their own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from hyperprune.corpus import Corpus, Part, Sequences
from hyperprune.errors import RunError
from hyperprune.store import atomic
from hyperprune.store.cache import cache_root
from hyperprune.store.lock import owned

PATIENCE = 600.0
"""Seconds to wait for another worker of the same machine that fetches the same text."""
SPLITS = ("train", "valid", "test")


def key_of(data: Corpus | Sequences) -> str:
    """What data are asked for by: their hash, and for sequences also how they were scaled."""
    if isinstance(data, Corpus):
        return data.sha256
    scales = [None if item is None else item.tolist() for item in (data.mean, data.scale)]
    return hashlib.sha256(json.dumps([data.sha256, scales]).encode()).hexdigest()


def dumped(data: Corpus | Sequences) -> bytes:
    """Data as one safetensors file."""
    said = {"name": data.name}
    if isinstance(data, Corpus):
        tensors: dict[str, Tensor | None] = {split: getattr(data, split) for split in SPLITS}
        said["vocabulary"] = json.dumps(list(data.vocabulary))
    else:
        tensors = {"mean": data.mean, "scale": data.scale}
        for split in SPLITS:
            part: Part = getattr(data, split)
            tensors |= {
                f"{split}.x": part.x,
                f"{split}.lengths": part.lengths,
                f"{split}.y": part.y,
            }
        said["labels"] = json.dumps(list(data.labels))
    # Copies: what shares its memory with another, safetensors does not write.
    whole = {
        name: tensor.clone(memory_format=torch.contiguous_format)
        for name, tensor in tensors.items()
        if tensor is not None
    }
    return save(whole, metadata=said)


def loaded(content: bytes, key: str) -> Corpus | Sequences:
    """Data from `dumped`; raises RunError where they are not those of that `key_of`."""
    try:
        length = int.from_bytes(content[:8], "little")
        data = _data(json.loads(content[8 : 8 + length])["__metadata__"], load(content))
        found = key_of(data)
    except Exception as error:  # a damaged file can raise almost anything
        raise RunError(f"a text that was fetched is damaged: {error}") from error
    if found != key:
        raise RunError(f"a text that was fetched has sha256 {found[:12]}…, not {key[:12]}…")
    return data


def _data(said: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Corpus | Sequences:
    if "vocabulary" in said:
        vocabulary = tuple(atomic.parse_json(said["vocabulary"]))
        return Corpus(said["name"], vocabulary, *(tensors[split] for split in SPLITS))
    train, valid, test = (
        Part(tensors[f"{split}.x"], tensors[f"{split}.lengths"], tensors.get(f"{split}.y"))
        for split in SPLITS
    )
    labels = tuple(atomic.parse_json(said["labels"]))
    scales = tensors.get("mean"), tensors.get("scale")
    return Sequences(said["name"], train, valid, test, labels, *scales)


def fetched(key: str, fetch: Callable[[], bytes]) -> Corpus | Sequences:
    """Data by their `key_of`: from this machine's cache, else fetched, once a machine."""
    folder = cache_root() / "texts" / key
    path = folder / "text.safetensors"
    if (known := _cached(path, key)) is not None:
        return known
    with owned(folder, PATIENCE):
        if (known := _cached(path, key)) is not None:
            return known
        content = fetch()
        data = loaded(content, key)
        atomic.write_bytes(path, content)
    return data


def _cached(path: Path, key: str) -> Corpus | Sequences | None:
    try:
        return loaded(path.read_bytes(), key)
    except (OSError, RunError):
        return None
