"""Arrays that were given in Python, in files where runs find them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from hyperprune.store import atomic
from hyperprune.store.cache import cache_root


def keep(splits: Mapping[str, Mapping[str, Tensor]]) -> Path:
    """Write splits as safetensors into a folder of the cache that is named by their hash."""
    found = hashlib.sha256()
    for split in sorted(splits):
        for name, own in sorted(splits[split].items()):
            found.update(f"{split} {name} {own.dtype} {tuple(own.shape)}".encode())
            found.update(own.contiguous().numpy().tobytes())
    folder = cache_root().absolute() / f"given-{found.hexdigest()[:32]}"
    for split, arrays in splits.items():
        path = folder / f"{split}.safetensors"
        if not path.exists():
            atomic.write_tensors(path, arrays, {})
    return folder
