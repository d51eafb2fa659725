"""Who watches a run: the view for a person, and observers that plugins offer."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console

from hyperprune.errors import PluginError
from hyperprune.events import Event, Notice, Observer, RunStarted
from hyperprune.plugins import registry, said
from hyperprune.recipe.section import Choice
from hyperprune.recipe.source import parse_override
from hyperprune.runtime.patience import at_work
from hyperprune.runtime.signals import by_a_person
from hyperprune.ui.live import LiveView
from hyperprune.ui.plain import PlainLines

HINT = "Ctrl-C stops after this step and says how to go on"


class PluginObserver:
    """An observer of a plugin, `name` or `{ name = "…", option = … }`, made with the run folder.

    One that raises is dropped, the run goes on, and `complain` is told why. Raises PluginError
    for a name that no plugin offers, and for options that it does not take.
    """

    def __init__(self, chosen: str, complain: Observer) -> None:
        choice = choice_of(chosen)
        self.name, self.complain = choice.name, complain
        self.make = registry().bind("observer", choice.name, choice.options)
        self.observe: Observer | None = None
        self.broken = False

    def __call__(self, event: Event) -> None:
        """Pass an event on."""
        if self.broken:
            return
        try:
            with at_work(f"observer {self.name!r}"):
                if isinstance(event, RunStarted):
                    self.observe = self.make(Path(event.folder))
                if self.observe is not None:
                    self.observe(event)
        except BaseException as error:  # a plugin's mistake must not end the run
            if isinstance(error, KeyboardInterrupt) and by_a_person(error):
                raise
            self.broken = True
            cause = str(error) if isinstance(error, PluginError) else said(error)
            self.complain(Notice(f"observer {self.name!r} failed, ignored: {cause}"))


def choice_of(text: str) -> Choice:
    """Read a choice as a recipe would write it; raises PluginError."""
    try:
        return Choice.model_validate(parse_override(f"observe={text}")[1])
    except ValueError:
        raise PluginError(
            f'cannot read observer {text!r}; expected a name, or {{ name = "…", option = … }}'
        ) from None


@contextmanager
def watching(
    console: Console, stream: TextIO, *, quiet: bool = False, plugins: Sequence[str] = ()
) -> Iterator[list[Observer]]:
    """Choose a view for where the output goes, and open it for the block.

    A live view on a terminal, a line an event elsewhere, nothing when quiet. Raises PluginError for
    an observer that no plugin offers.
    """
    if quiet:
        complaints = PlainLines(sys.stderr)
        yield [PluginObserver(name, complaints) for name in plugins]
        return
    # FORCE_COLOR asks for colours, also in a file; a screen is drawn on terminals only.
    screen = console.is_terminal and not console.is_dumb_terminal and _is_terminal(stream)
    dumb = not screen
    view = PlainLines(stream) if dumb else LiveView(console, hint=HINT)
    others: list[Observer] = [PluginObserver(name, view) for name in plugins]
    with view:
        yield [view, *others]


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False
