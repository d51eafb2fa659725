"""Every random stream of a run, derived from the recipe's seed and the stream's own name.

Streams are stateless: what is drawn in epoch 7 depends on the seed, the name and the number 7, never
on what was drawn before. So a resumed run needs no generator states to go on to the bit.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derive(seed: int, *labels: str | int) -> int:
    """Seed of a named stream: the first 63 bits of a hash of the run's seed and the name."""
    text = "/".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's global generators within the block (dropout knows no other), then restore them."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def seed_everything(seed: int) -> None:
    """Seed the global generators of Python, NumPy and torch, for code that draws from them."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
