"""Which live pages run on this machine, so that a run's terminal can name its own.

An address holds the token that lets its reader in: it lies in the user's cache, for the user alone.
A lock says whether its server still lives.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.store.cache import cache_root
from hyperprune.store.lock import owned, owner_of

LONGEST = 200
"""Characters of an address at most."""


@contextlib.contextmanager
def announced(folder: Path, address: str) -> Iterator[None]:
    """Let the address of a folder's live page be known within the block; no page needs it to work."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(RunError, OSError):  # another page of the folder is known already
            place = _place(folder)
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            stack.enter_context(owned(place))
            file = place / "address"
            file.touch(mode=0o600)
            file.write_text(address, encoding="utf-8")
            stack.callback(file.unlink, missing_ok=True)
        yield


def page_of(run: Path) -> str | None:
    """The address of a live page that shows a run now, where one does."""
    place = _place(run.parent)
    try:
        if owner_of(place) is None:
            return None
        found = (place / "address").read_text(encoding="utf-8")[:LONGEST]
    except (OSError, ValueError):
        return None
    return f"{found}run/{run.name}/" if found else None


def _place(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    return cache_root() / "pages" / name
