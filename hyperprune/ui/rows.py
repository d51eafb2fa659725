"""Candidates as rows of a table that fits its window: settings, epoch, LS distance, metric, state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from hyperprune.training.outcome import DENSE
from hyperprune.ui.board import Board, Row
from hyperprune.ui.plot import sparkline
from hyperprune.ui.text import measured, number, safe, setting, short_names

NARROW = {"candidate": 9, "settings": 10, "epoch": 5, "distance": 8, "metric": 10, "state": 13}
"""Columns of a narrow table with their widths; settings have at least theirs."""
GIVEN_UP = ("settings", "distance", "epoch", "state")
"""What a window too narrow for all of them goes without, in this order: no number is ever cut."""
FIXED = 9 + 5 + 10 + 13 + 5 * 2
"""Columns of a wide table that settings leave to the rest, gaps included."""
SPECTRAL = 16 + 5 + 2 * 2
"""What distances and lost directions take of it, where spectra are compared."""
SPARK = 12
"""Columns of a curve of the loss beside each candidate, where there is room for them."""
COLOURS = {
    "waiting": "dim",
    "training": "cyan",
    "trained": "default",
    "measured": "default",
    "kept": "green",
    "eliminated": "dim",
    "failed": "red",
}


def candidate_rows(board: Board, rows: Sequence[Row], width: int, room: int) -> tuple[Table, int]:
    """The dense reference and candidates, and the lines that candidates take of the `room` they have.

    Every setting has a column where there is room for all, and no column moves as a run goes on. Else
    settings share one, on as many lines as they need where there are lines enough; a window too narrow
    even for that shows fewer columns.
    """
    names = short_names(path for row in board.candidates.values() for path in row.configuration)
    taken = [_settings_width(board, path, name) for path, name in names.items()]
    spare = width - sum(taken) - 2 * len(taken) - FIXED - SPECTRAL * board.distances
    if names and spare >= 0:
        return _wide(board, rows, names, taken, sparks=spare >= SPARK + 2), len(rows)
    return _narrow(board, rows, names, width, room)


def _wide(
    board: Board,
    rows: Sequence[Row],
    names: Mapping[str, str],
    taken: Sequence[int],
    *,
    sparks: bool,
) -> Table:
    """A column for every setting, distances with their errors, and a curve where it fits."""
    table = _table(gap=2)
    table.add_column("candidate", no_wrap=True, width=9)
    for name, size in zip(names.values(), taken, strict=True):
        table.add_column(Text(name), no_wrap=True, overflow="ellipsis", width=size)
    table.add_column("epoch", justify="right", no_wrap=True, width=5)
    if board.distances:
        table.add_column("LS distance", justify="right", no_wrap=True, width=16)
        table.add_column("lost", justify="right", no_wrap=True, width=5)  # directions
    table.add_column(board.metric.words, justify="right", no_wrap=True, width=10)
    if sparks:
        table.add_column("loss", no_wrap=True, width=SPARK)
    table.add_column("state", no_wrap=True, width=13)
    table.add_column("", ratio=1)  # takes what is left over
    for row in (*board.references, *rows):
        every = [setting(row.configuration.get(path, "–")) for path in names]
        distance = "" if row.name == DENSE else measured(row.distance, row.distance_error)
        table.add_row(
            _name(board, row),
            *(Text(value if row.name != DENSE else "") for value in every),
            f"{row.epoch}" if row.epoch else "–",
            *((distance, number(row.lost)) if board.distances else ()),
            _value(board, row),
            *([Text(sparkline(row.losses, SPARK), style="cyan")] if sparks else []),
            _state(row),
            style=_row_style(row),
        )
    return table


def _narrow(
    board: Board, rows: Sequence[Row], names: Mapping[str, str], width: int, room: int
) -> tuple[Table, int]:
    """One column for all settings; columns that do not fit are left out rather than cut."""
    shown = dict(NARROW)
    if not board.distances:
        del shown["distance"]
    for name in GIVEN_UP:
        if sum(shown.values()) + len(shown) - 1 > width:
            shown.pop(name, None)
    own = width - sum(shown.values()) - len(shown) + 1 + shown.get("settings", 0)
    said = {row.name: _settings(row, names, own, lines=1) for row in rows}
    lines = len(rows)
    if "settings" in shown:
        whole = {row.name: _settings(row, names, own) for row in rows}
        needed = sum(text.plain.count("\n") + 1 for text in whole.values())
        if needed <= room:
            said, lines = whole, needed
    table = _table(gap=1)
    for name, size in shown.items():
        if name == "settings":
            table.add_column(name, ratio=1)
        else:
            justify = "right" if name in ("epoch", "distance", "metric") else "left"
            head = board.metric.words if name == "metric" else name
            table.add_column(head, no_wrap=True, width=size, justify=justify)  # type: ignore[arg-type]
    if "settings" not in shown:
        table.add_column("", ratio=1)
    for row in (*board.references, *rows):
        cells: dict[str, RenderableType] = {
            "candidate": _name(board, row),
            "settings": said.get(row.name, Text("")),
            "epoch": f"{row.epoch}" if row.epoch else "–",
            "distance": "" if row.name == DENSE else measured(row.distance, None),
            "metric": _value(board, row),
            "state": _state(row),
        }
        table.add_row(*(cells[name] for name in shown), style=_row_style(row))
    return table, lines


def _settings(row: Row, names: Mapping[str, str], width: int, lines: int = 0) -> Text:
    """A row's settings, broken between values; on so many lines, or on as many as it takes."""
    values = [setting(row.configuration[path]) for path in names if path in row.configuration]
    if lines == 1:
        return Text(" · ".join(_shortened(values, width)), no_wrap=True, overflow="ellipsis")
    broken: list[str] = []
    for value in values:
        joined = f"{broken[-1]} · {value}" if broken else value
        if broken and cell_len(joined) <= width:
            broken[-1] = joined
        else:
            broken.append(value)
    return Text("\n".join(broken), no_wrap=True, overflow="ellipsis")


def _shortened(values: Sequence[str], width: int) -> list[str]:
    """Values that fit a line together: the longest words give way first, and no number does."""
    words = [value for value in values if not value[:1].isdecimal()]
    room = width - 3 * (len(values) - 1) - sum(map(cell_len, values)) + sum(map(cell_len, words))
    longest = max(map(cell_len, words), default=0)
    while longest > 1 and sum(min(cell_len(word), longest) for word in words) > room:
        longest -= 1

    def cut(value: str) -> str:
        text = Text(value)
        text.truncate(longest, overflow="ellipsis")
        return text.plain

    return [cut(value) if value in words else value for value in values]


def _table(gap: int) -> Table:
    return Table(box=None, padding=(0, gap, 0, 0), expand=True, header_style="bold", pad_edge=False)


def _settings_width(board: Board, path: str, name: str) -> int:
    values = (setting(row.configuration.get(path, "–")) for row in board.candidates.values())
    return min(24, max(cell_len(name), *(cell_len(value) for value in values)))


def _name(board: Board, row: Row) -> Text:
    return Text(safe(row.name, 20) + (" ★" if row is board.best else ""))


def _value(board: Board, row: Row) -> Text:
    cost = row.cost if row.state == "training" else row.best_cost
    met = row is not board.dense and meets_target(row, board)
    return Text(board.metric.told(cost), style="green" if met else "")


def _row_style(row: Row) -> str:
    return "dim" if row.state == "eliminated" else ""


def meets_target(row: Row, board: Board) -> bool:
    """Whether a network at its sparsity is as good as the dense reference."""
    target, cost = board.target_cost, row.best_cost
    return row.arrived and cost is not None and target is not None and cost <= target


def _state(row: Row) -> Text:
    done = row.name == DENSE and row.state in ("trained", "measured")
    words = "done" if done else str(row.state)
    if row.state == "training":
        words = f"training {row.part:.0%}"
    return Text(words, style=COLOURS[row.state])
