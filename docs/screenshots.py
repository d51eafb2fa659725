"""Draw the pictures of the README anew: the report in Chromium, the terminal by Rich.

python docs/screenshots.py      # needs playwright (PyPI) and a Chromium
"""

from __future__ import annotations

import io
import shutil
import tempfile
from pathlib import Path

from rich.console import Console

from hyperprune.report.html import write_report
from hyperprune.store.log import read_log
from hyperprune.ui.board import Board
from hyperprune.ui.follow import LogClock
from hyperprune.ui.live import screen

HERE = Path(__file__).resolve().parent
RECORDED, PICTURES = HERE / "recorded" / "quickstart", HERE / "pictures"
SHARE = 0.8
"""How far the run in the terminal's picture is."""


def report(scheme: str) -> None:
    """The top of the recorded run's report."""
    from playwright.sync_api import sync_playwright

    found = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory() as place, sync_playwright() as driver:
        page_file = write_report(RECORDED, Path(place) / "report.html")
        quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=found, args=quiet)
        size = {"width": 1280, "height": 820}
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.goto(page_file.as_uri())
        page.evaluate("Promise.all(boxes().slice(0, 2).map(b => draw(b)))")
        # The folder that it was recorded in is nobody's business.
        page.evaluate(
            "document.querySelector('h1').nextElementSibling.textContent = 'runs/quickstart'"
        )
        page.screenshot(path=PICTURES / f"report-{scheme}.png")
        browser.close()


def terminal() -> None:
    """The live view of the recorded run, most of the way through, as SVG."""
    logged = read_log(RECORDED)
    clock = LogClock()
    clock.told = logged[0].time.timestamp()
    board = Board(clock)
    for item in logged[: int(SHARE * len(logged))]:
        clock.told = item.time.timestamp()
        board.tell(item.event)
    console = Console(width=166, height=20, record=True, force_terminal=True, file=io.StringIO())
    console.print(screen(board, 166, 18, "Ctrl-C stops after this step and says how to go on"))
    console.save_svg(str(PICTURES / "terminal.svg"), title="hyperprune run quickstart")


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    terminal()
    report("light")
    report("dark")
