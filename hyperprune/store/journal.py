"""An append-only list of facts, one JSON object a line; a torn last line is cut off on opening."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hyperprune.errors import RunError
from hyperprune.store.atomic import parse_json, sync


class Journal:
    """The facts of a run in the order they became facts.

    Records hold no clock times, so equal runs have equal journals. A record is a fact once `append`
    has returned: the line is on the disk. Raises RunError when the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        self._found: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
        self._sorted = 0  # records that `facts` has found their places for
        self._size = 0
        try:
            content = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise RunError(f"cannot read {path}: {error.strerror}") from error
        for number, line in enumerate(content.splitlines(keepends=True), start=1):
            record = _parse(line)
            if record is None:
                if self._size + len(line) < len(content):
                    raise RunError(f"{path} is damaged at line {number}: not a JSON object")
                break  # torn by a crash in the middle of a write: it never became a fact
            self.records.append(record)
            self._size += len(line)

    def facts(self, kind: str, candidate: str | None = None) -> Sequence[dict[str, Any]]:
        """Facts of a kind in their order, of one candidate where it is named."""
        for record in self.records[self._sorted :]:
            for owner in {None, record.get("candidate")}:
                self._found.setdefault((record["fact"], owner), []).append(record)
        self._sorted = len(self.records)
        return self._found.get((kind, candidate), ())

    def append(self, record: Mapping[str, Any]) -> None:
        """Add a fact and wait until the disk has it."""
        line = json.dumps(record, sort_keys=True, allow_nan=False).encode() + b"\n"
        # A journal that was there is not made again: a hole would stand where its facts were.
        create = 0 if self._size else os.O_CREAT
        try:
            descriptor = os.open(self.path, os.O_RDWR | create, 0o644)
            try:
                self._write(descriptor, line)
            finally:
                os.close(descriptor)
            if create:
                sync(self.path.parent)
        except OSError as error:
            raise RunError(
                f"cannot write {self.path}: {error.strerror}; nothing is lost, mend it and resume"
            ) from error
        self.records.append(json.loads(line))
        self._size += len(line)

    def _write(self, descriptor: int, line: bytes) -> None:
        found = os.fstat(descriptor).st_size
        if found < self._size:
            raise RunError(
                f"{self.path} was cut from {self._size} to {found} bytes by somebody else; "
                "resume, and what the missing facts said is found again"
            )
        os.ftruncate(descriptor, self._size)  # drops a torn or half-written tail
        os.lseek(descriptor, self._size, os.SEEK_SET)
        view = memoryview(line)
        while view:
            view = view[os.write(descriptor, view) :]
        os.fsync(descriptor)


def _parse(line: bytes) -> dict[str, Any] | None:
    """One record, or None for a line that is not complete."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = parse_json(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None
