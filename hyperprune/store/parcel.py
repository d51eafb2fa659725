"""Files of a training on their way between machines: by name, with the hash of each."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.store import atomic
from hyperprune.store.training import TrainingFolder

NAMES = re.compile(r"(spectra/[0-9]{4}|start|best|checkpoint|given)\.safetensors")
"""What a training's folder holds; a name that leads elsewhere is none of these."""


@dataclass(frozen=True)
class Item:
    """A file's content, and the SHA-256 that it had where it was read."""

    content: bytes
    sha256: str


Parcel = Mapping[str, Item]


def packed(path: Path, names: tuple[str, ...]) -> dict[str, Item]:
    """Read files of a training's folder; those that are not there are left out."""
    found = {}
    for name in names:
        file = path / name
        if file.exists():
            content = file.read_bytes()
            found[name] = Item(content, hashlib.sha256(content).hexdigest())
    return found


def to_go_on(path: Path) -> dict[str, Item]:
    """What going on from a training's last epoch needs; nothing where it has none."""
    folder = TrainingFolder(path)
    return packed(path, (folder.checkpoint.name, folder.given.name))


def of_epoch(path: Path, epoch: int, known: Mapping[str, str]) -> dict[str, Item]:
    """What a training's folder has after an epoch that is not `known`: hashes by name."""
    folder = TrainingFolder(path)
    places = (folder.spectrum(epoch), folder.start, folder.best, folder.checkpoint)
    found = packed(path, tuple(place.relative_to(path).as_posix() for place in places))
    return {name: item for name, item in found.items() if known.get(name) != item.sha256}


def of_end(path: Path, known: Mapping[str, str]) -> dict[str, Item]:
    """What a training leaves that ended before an epoch was done: the masks at its start."""
    found = packed(path, (TrainingFolder(path).start.name,))
    return {name: item for name, item in found.items() if name not in known}


def unpack(parcel: Parcel, path: Path) -> None:
    """Write a parcel's files into a training's folder, the checkpoint last.

    Raises RunError, and writes nothing, for a name that is no file of a training's, or a content that
    is not what was sent.
    """
    for name, item in parcel.items():
        if not NAMES.fullmatch(name):
            raise RunError(f"a parcel for {path} holds {name!r}, which is no file of a training")
        if hashlib.sha256(item.content).hexdigest() != item.sha256:
            raise RunError(f"a parcel for {path}: {name} arrived damaged")
    for name in sorted(parcel, key=lambda name: (name.startswith("checkpoint"), name)):
        atomic.write_bytes(path / name, parcel[name].content)


def put_nonce(run: Path, nonce: str) -> Path:
    """Leave a word in a run's folder by which others find out whether they see it; its file."""
    path = run.absolute() / f".seen-{nonce[:12]}"
    atomic.write_text(path, nonce)
    return path


def sees(path: Path, nonce: str) -> bool:
    """Whether a word that somebody left is there to read, in a folder that can be written."""
    try:
        if path.read_text(encoding="utf-8") != nonce:
            return False
        answer = path.with_name(f"{path.name}-by-{hashlib.sha256(nonce.encode()).hexdigest()[:8]}")
        answer.touch()
        answer.unlink(missing_ok=True)
    except (OSError, ValueError):
        return False
    return True
