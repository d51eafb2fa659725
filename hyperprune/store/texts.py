"""Texts kept by their hash, for workers that have no copy of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load, save

from hyperprune.corpus import Corpus
from hyperprune.errors import RunError
from hyperprune.store import atomic
from hyperprune.store.cache import cache_root
from hyperprune.store.lock import owned

PATIENCE = 600.0
"""Seconds to wait for another worker of the same machine that fetches the same text."""


def dumped(corpus: Corpus) -> bytes:
    """A text as one safetensors file."""
    splits = {"train": corpus.train, "valid": corpus.valid, "test": corpus.test}
    said = {"name": corpus.name, "vocabulary": json.dumps(list(corpus.vocabulary))}
    return save({name: ids.contiguous() for name, ids in splits.items()}, metadata=said)


def loaded(content: bytes, sha256: str) -> Corpus:
    """A text from `dumped`; raises RunError where it is not the one with that hash."""
    try:
        length = int.from_bytes(content[:8], "little")
        said = json.loads(content[8 : 8 + length])["__metadata__"]
        splits = load(content)
        vocabulary = tuple(atomic.parse_json(said["vocabulary"]))
        corpus = Corpus(said["name"], vocabulary, *(splits[s] for s in ("train", "valid", "test")))
        found = corpus.sha256
    except Exception as error:  # a damaged file can raise almost anything
        raise RunError(f"a text that was fetched is damaged: {error}") from error
    if found != sha256:
        raise RunError(f"a text that was fetched has sha256 {found[:12]}…, not {sha256[:12]}…")
    return corpus


def fetched(sha256: str, fetch: Callable[[], bytes]) -> Corpus:
    """A text by its hash: from this machine's cache, else fetched, once a machine."""
    folder = cache_root() / "texts" / sha256
    path = folder / "text.safetensors"
    if (known := _cached(path, sha256)) is not None:
        return known
    with owned(folder, PATIENCE):
        if (known := _cached(path, sha256)) is not None:
            return known
        content = fetch()
        corpus = loaded(content, sha256)
        atomic.write_bytes(path, content)
    return corpus


def _cached(path: Path, sha256: str) -> Corpus | None:
    try:
        return loaded(path.read_bytes(), sha256)
    except (OSError, RunError):
        return None
