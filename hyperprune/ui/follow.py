"""Watches a run that another process carries out, by reading its log as it grows."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from rich.console import Console

from hyperprune.events import RunFinished, RunStarted
from hyperprune.store.lock import owner_of
from hyperprune.store.log import Logged, follow
from hyperprune.ui.board import Board
from hyperprune.ui.live import LiveView
from hyperprune.ui.plain import PlainLines

HINT = "Ctrl-C leaves; the run goes on"
PAUSE = 0.5
"""Seconds between looks at the log."""


class LogClock:
    """The logged time while past events are replayed, then the wall clock."""

    def __init__(self) -> None:
        self.told: float | None = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return time.time() if self.told is None else self.told


def following(
    folder: Path, console: Console, stream: TextIO, pause: Callable[[float], object] = time.sleep
) -> None:
    """Show a run until it ends, its process stops, or the person leaves."""
    past, position = follow(folder)
    past = sitting(past)
    clock = LogClock()
    clock.told = past[0].time.timestamp() if past else time.time()
    dumb = not console.is_terminal or console.is_dumb_terminal
    board = Board(clock)
    view = PlainLines(stream, board) if dumb else LiveView(console, board, hint=HINT)
    try:
        with view:
            for item in past:
                clock.told = item.time.timestamp()
                view(item.event)
            clock.told = None
            ended = bool(past) and isinstance(past[-1].event, RunFinished)
            while not ended:
                ended = owner_of(folder) is None  # and then one last look
                new, position = follow(folder, position)
                for item in new:
                    view(item.event)
                    ended = ended or isinstance(item.event, RunFinished)
                if not ended:
                    pause(PAUSE)
    except KeyboardInterrupt:
        return


def sitting(logged: list[Logged]) -> list[Logged]:
    """Events of the last sitting, which repeats what earlier ones found."""
    starts = [i for i, item in enumerate(logged) if isinstance(item.event, RunStarted)]
    return logged[starts[-1] :] if starts else logged
