"""The runs that are served: what is read of each is kept while its files stay the same."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from hyperprune.errors import RunError
from hyperprune.figures import look
from hyperprune.judgement.glance import Glance, glance, run_folders
from hyperprune.plan.disk import show_bytes
from hyperprune.report.html import contents
from hyperprune.report.page import fill
from hyperprune.store import layout
from hyperprune.store.lock import owner_of
from hyperprune.store.log import Logged, follow
from hyperprune.terms.duration import duration
from hyperprune.ui.board import Board
from hyperprune.ui.follow import LogClock, sitting
from hyperprune.ui.text import configuration, measured, safe

HERE = Path(__file__).parent
KEPT, ROOM = 8, 100 << 20
"""Progresses kept at most, and bytes of all pages kept: a hundred of ordinary runs."""
RARELY, OFTEN = 5.0, 1.0
"""Seconds that a page, and a list or a progress, stays as it is, however often it is asked for."""
NEWS = 30


class Library:
    """Run folders within a folder. Nothing is written; no name leads out of the folder."""

    def __init__(self, folder: Path, *, allow_stop: bool = False) -> None:
        self.folder, self.allow_stop = folder.resolve(), allow_stop
        self._lock = threading.Lock()  # one reader at a time: the run has the other cores
        self._pages: OrderedDict[str, tuple[float, Any, bytes]] = OrderedDict()
        self._listed: tuple[float, bytes] = (-math.inf, b"")
        self._glances: dict[str, tuple[float, Any, Glance]] = {}
        self._progress: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()
        self._boards: OrderedDict[str, tuple[int, list[Logged]]] = OrderedDict()

    def path(self, name: str) -> Path:
        """A run's folder by its name; raises RunError where the list does not have it."""
        for path in run_folders(self.folder):
            if path.name == name:
                return path
        raise RunError(f"there is no run {safe(name, 60)}")

    def runs(self) -> list[Glance]:
        """Every run at a glance, the newest first."""
        with self._lock:
            found = [self._glance(path) for path in run_folders(self.folder)]
            names = {item.name for item in found}
            self._glances = {k: v for k, v in self._glances.items() if k in names}
        return sorted(found, key=lambda item: item.age)

    def listing(self, home: str) -> bytes:
        """The page that lists the runs, made at most now and then; home: where its links begin."""
        if time.monotonic() - self._listed[0] >= OFTEN:
            values = {
                "runs": self.runs(),
                "home": home,
                "address": _address,
                "duration": duration,
                "show_bytes": show_bytes,
            }
            made = fill("runs.html", self.folder.name or "runs", values, folder=HERE).encode()
            self._listed = (time.monotonic(), made)
        return self._listed[1]

    def page(self, name: str) -> bytes:
        """A run's page, made anew when its journal has grown, at most once in a while, and at its end."""
        path = self.path(name)
        with self._lock:
            stamp = _stamp(path)
            known = self._pages.get(name)
            recent = known is not None and time.monotonic() - known[0] < RARELY
            # Not held back where the run has begun or ended since: what the page says has changed.
            if known and (known[1] == stamp or (recent and known[1][-1] == stamp[-1])):
                self._pages.move_to_end(name)
                return known[2]
            began = time.monotonic()
            made = self._render(path).encode()
            # A page that took long is kept the longer, so that readers take a tenth of a core at most.
            took = time.monotonic() - began
            self._pages[name] = (time.monotonic() + 9 * took, stamp, made)
            self._pages.move_to_end(name)
            while sum(len(text) for *_, text in self._pages.values()) > max(ROOM, len(made)):
                self._pages.popitem(last=False)
            return made

    def progress(self, name: str) -> dict[str, Any]:
        """Where a run is now, as words and numbers for the page."""
        path = self.path(name)
        with self._lock:
            known = self._progress.get(name)
            if known and time.monotonic() - known[0] < OFTEN:
                return known[1]
            said = self._tell(path)
            self._progress[name] = (time.monotonic(), said)
            while len(self._progress) > KEPT:
                self._progress.popitem(last=False)
            return said

    def _glance(self, path: Path) -> Glance:
        stamp = _stamp(path)
        known = self._glances.get(path.name)
        if known is None or known[1] != stamp:
            known = (time.monotonic(), stamp, glance(path))
            self._glances[path.name] = known
        return known[2]

    def _render(self, path: Path) -> str:
        view = look(path)
        values = {
            **contents(view),
            "state": self._glance(path).state,
            "live": "stop" if self.allow_stop else "",
            "live_js": Markup((HERE / "live.js").read_text(encoding="utf-8")),
        }
        title = view.now.title or path.name
        return fill("live.html", title, values, folder=HERE, connect="; connect-src 'self'")

    def _tell(self, path: Path) -> dict[str, Any]:
        position, known = self._boards.get(path.name, (0, []))
        new, position = follow(path, position)
        known = sitting([*known, *new])
        self._boards[path.name] = (position, known)
        self._boards.move_to_end(path.name)
        while len(self._boards) > KEPT:
            self._boards.popitem(last=False)
        clock = LogClock()
        clock.told = known[0].time.timestamp() if known else time.time()
        board = Board(clock)
        for item in known:
            clock.told = item.time.timestamp()
            board.tell(item.event)
        state = self._glance(path).state
        if state == "running":
            clock.told = None
        return {"state": state, **_as_words(board), "log": _news(known), "stamp": str(_stamp(path))}


def _address(name: str) -> str:
    """A run's name within an address; empty where it is bytes that are no text, and no link can say it."""
    try:
        return quote(name, safe="")
    except UnicodeEncodeError:
        return ""


def _as_words(board: Board) -> dict[str, Any]:
    rows = [
        {
            "name": safe(row.name),
            "settings": configuration(row.configuration),
            "epoch": row.epoch,
            "distance": measured(row.distance, row.distance_error),
            "value": board.metric.told(row.best_cost),
            "state": safe(f"{row.state}: {row.cause}" if row.cause else row.state),
        }
        for row in (board.dense, *board.candidates.values())
    ]
    return {
        "metric": board.metric.words,
        "stage": safe(board.stage or "starting"),
        "done": board.done,
        "total": board.total,
        "elapsed": duration(board.elapsed),
        "left": duration(board.seconds_left),
        "rows": rows,
    }


def _news(known: list[Logged]) -> list[str]:
    said = []
    for item in known[-NEWS:]:
        words = ", ".join(
            f"{key} {safe(value, 60)}"
            for key, value in asdict(item.event).items()
            if isinstance(value, (str, int, float))
        )
        said.append(f"{item.time:%H:%M:%S}  {type(item.event).__name__}  {words}")
    return said


def _stamp(path: Path) -> tuple[Any, ...]:
    """What changes when a run goes on; the last of it is whether somebody works on it."""
    found: list[Any] = []
    for name in (layout.MADE, layout.JOURNAL, layout.LOG, layout.RESULT, layout.LOCK):
        try:
            status = (path / name).lstat()
            found.append((status.st_mtime_ns, status.st_size))
        except OSError:
            found.append(None)
    return (*found, owner_of(path) is not None)
