"""A run on a terminal, drawn anew several times a second at whatever size the window has."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from hyperprune.events import Event
from hyperprune.store.pages import page_of
from hyperprune.terms.duration import duration
from hyperprune.ui.beside import LINES, WIDE, Beside, beside_dense, small_plot
from hyperprune.ui.board import Board, Row
from hyperprune.ui.rows import candidate_rows, meets_target
from hyperprune.ui.text import safe

TALL, SHORT = 20, 12
"""Lines from which there is room for news, and below which only the essential is shown."""
RARELY = 2.0
"""Seconds between looks at files."""
RELEVANCE = ("training", "kept", "measured", "trained", "failed", "waiting", "eliminated")
"""Which candidates are shown when there is no room for all."""


class LiveView:
    """Shows a run on the alternate screen: a resize redraws it, and nothing is left behind.

    Rich draws from a thread of its own, so events and drawing take turns by a lock.
    """

    def __init__(self, console: Console, board: Board | None = None, hint: str = "") -> None:
        self.console, self.board, self.hint = console, board or Board(), hint
        self._lock = threading.Lock()
        self._looked, self._page = -math.inf, ""
        self._beside: Beside | None = None
        self._live = Live(
            console=console,
            screen=True,
            refresh_per_second=4,
            get_renderable=self._draw,
            vertical_overflow="crop",
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take in an event; the next drawing shows it."""
        with self._lock:
            self.board.tell(event)

    def _draw(self) -> RenderableType:
        with self._lock:
            self._look()
            size = (self.console.width, self.console.height)
            return screen(self.board, *size, self.hint, self._page, self._beside)

    def _look(self) -> None:
        """Read, now and then, what no event tells: a live page's address, the best one's spectrum."""
        if not self.board.folder or time.monotonic() - self._looked < RARELY:
            return
        folder, best = Path(self.board.folder), self.board.best
        self._looked, self._page = time.monotonic(), page_of(folder) or ""
        if best is None or self.console.width < WIDE:
            return
        known = self._beside
        if known is None or (known.name, known.epoch) != (best.name, best.epoch):
            self._beside = beside_dense(folder, best.name, best.epoch) or known


def screen(
    board: Board,
    width: int,
    height: int,
    hint: str = "",
    page: str = "",
    beside: Beside | None = None,
) -> RenderableType:
    """Everything on one screen of width × height characters.

    page: the address of a live page that shows the run. beside: spectra to plot, where there is room.
    """
    head = _head(board, spacious=height >= SHORT)
    foot: list[RenderableType] = []
    if height >= TALL:
        foot += board.workers.lines((height - TALL) // 2 + 1)
    foot += _foot(board, hint, page, lines=4 if height >= TALL else int(height >= SHORT))
    room = height - len(head) - len(foot) - 1 - len(board.references)  # below column names
    rows, hidden = relevant(board, max(2, room))
    table, lines = candidate_rows(board, rows, width, room - bool(hidden))
    parts: list[RenderableType] = [*head, table]
    if hidden:
        parts.append(Text(_count_hidden(hidden), style="dim", no_wrap=True, overflow="ellipsis"))
    left = max(0, room - lines - bool(hidden))
    if beside is not None and width >= WIDE and left > LINES + 1:
        parts += [Text(""), small_plot(beside, width)]
        left -= LINES + 2
    parts += [Text("")] * left
    return Group(*parts, *foot)


def relevant(board: Board, room: int) -> tuple[list[Row], list[Row]]:
    """Choose the candidates to show in the order of their names, and those left out."""
    rows = list(board.candidates.values())
    if len(rows) > room:
        room = max(1, room - 1)  # one line says what is left out

        best = board.best

        def order(row: Row) -> tuple[bool, int, float, str]:
            cost = float("inf") if row.best_cost is None else row.best_cost
            return row is not best, RELEVANCE.index(row.state), cost, row.name

        rows = sorted(rows, key=order)
        chosen = {row.name for row in rows[:room]}
        return (
            [row for row in board.candidates.values() if row.name in chosen],
            [row for row in board.candidates.values() if row.name not in chosen],
        )
    return rows, []


def _head(board: Board, *, spacious: bool) -> list[RenderableType]:
    plan = board.plan
    title = Text(no_wrap=True, overflow="ellipsis")
    title.append("hyperprune ", style="bold")
    title.append(safe(plan.title if plan and plan.title else "run"))
    title.append(f"  {safe(board.folder)}", style="dim")
    stage = Text(_stage(board), no_wrap=True, overflow="ellipsis")
    left = board.seconds_left
    waited = "estimating the time left" if board.begun else "loading what training needs"
    timing = f"about {duration(left)} left" if left is not None else waited
    amount = f"{board.done:.0f}/{board.total} epochs  {duration(board.elapsed)}  {timing}"
    bar = Table.grid(expand=True, padding=(0, 1, 0, 0))
    bar.add_column(ratio=1)
    bar.add_column(no_wrap=True)
    bar.add_row(ProgressBar(total=max(1, board.total), completed=board.done), amount)
    essential: list[RenderableType] = [stage, bar, _standing(board)]
    return [title, *essential, Text("")] if spacious else essential


def _stage(board: Board) -> str:
    plan, stage = board.plan, board.stage
    if plan is None or not stage:
        return "starting"
    if stage == "dense":
        return f"dense reference: {plan.epochs} epochs"
    if stage == "final":
        return f"final: {plan.finalists} finalists to epoch {plan.epochs}"
    if stage == "int8":
        return f"int8: finalists on for {plan.int8_epochs} epochs as int8 will hold their weights"
    if board.round is None:
        return safe(stage)
    count, epoch = plan.rounds[board.round - 1]
    what = "search: round" if stage == "search" else "round"
    return f"{what} {board.round} of {len(plan.rounds)}, {count} candidates to epoch {epoch}"


def _standing(board: Board) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{board.aim} ", style="dim")
    line.append(board.metric.told(board.target_cost))
    if board.best is not None:
        line.append("   best so far ", style="dim")
        line.append(f"{safe(board.best.name)} {board.metric.told(board.best.best_cost)}")
        if meets_target(board.best, board):
            line.append(" meets the target", style="green")
    return line


def _foot(board: Board, hint: str, page: str, *, lines: int) -> list[RenderableType]:
    """The latest failures and notices, a live page, and the hint last; at most `lines` lines."""
    news = [
        (f"{safe(row.name)}: {safe(row.cause)}", "red")
        for row in board.candidates.values()
        if row.state == "failed"
    ][-2:]
    news += [(safe(message), "yellow") for message in board.notices[-2:]]
    if lines > 1:
        last = [(f"live page {safe(page, 200)}", "cyan")] if page else []
        last.append((hint, "dim"))
        news = [*news[len(last) - lines :], *last]
    shown = news[-lines:] if lines else []
    return [Text(text, style, no_wrap=True, overflow="ellipsis") for text, style in shown]


def _count_hidden(rows: Sequence[Row]) -> str:
    states = [row.state for row in rows]
    kinds = ", ".join(f"{states.count(s)} {s}" for s in RELEVANCE if s in states)
    return f"… and {len(rows)} more: {kinds}"
