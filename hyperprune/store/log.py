"""The log of a run, read back: what happened and when. `store.run` writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from hyperprune.events import Event
from hyperprune.store import layout

LONGEST = 1 << 25
"""Bytes of a line beyond which it is no event of ours; the result of a run has some 400 a candidate."""
_KINDS = {kind.__name__: TypeAdapter(kind) for kind in get_args(Event)}


@dataclass(frozen=True)
class Logged:
    """An event and the second it happened in, by the clock of the machine that ran it."""

    time: datetime
    event: Event


def read_log(folder: Path) -> list[Logged]:
    """Every event of a run's log; lines that are none are passed over, since no fact is in them."""
    try:
        with (folder / layout.LOG).open("rb") as file:
            return [found for line in file if (found := parse(line)) is not None]
    except OSError:
        return []


def follow(folder: Path, position: int = 0) -> tuple[list[Logged], int]:
    """What was logged after a position, and where to go on; a line still being written waits."""
    try:
        with (folder / layout.LOG).open("rb") as file:
            file.seek(position)
            content = file.read()
    except OSError:
        return [], position
    whole = content[: content.rfind(b"\n") + 1]
    return list(_parsed(whole)), position + len(whole)


def _parsed(content: bytes) -> Iterator[Logged]:
    for line in content.splitlines():
        if (found := parse(line)) is not None:
            yield found


def parse(line: bytes) -> Logged | None:
    """One line of a log, or None where it is no event."""
    if len(line) > LONGEST:
        return None
    try:
        record: Any = json.loads(line)
        time = datetime.fromisoformat(record.pop("time")).replace(tzinfo=None)
        kind = _KINDS[record.pop("event")]
        event: Event = kind.validate_python(record)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        return None
    return Logged(time, event)
