import io

import pytest
from rich.console import Console
from scripted import Clock


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def rendered():
    """Render to plain text of a given size."""

    def render(part, width=80, height=24):
        console = Console(
            file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
        )
        console.print(part, end="")
        return console.file.getvalue()

    return render
