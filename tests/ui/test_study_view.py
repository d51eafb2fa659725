"""A study on screens of any width: what has no room is left out, and said."""

import io
import json
from pathlib import Path

from pydantic import TypeAdapter
from rich.console import Console

from hyperprune.judgement.arms import Arm
from hyperprune.judgement.study import figures_of
from hyperprune.terms.metric import PERPLEXITY
from hyperprune.ui.study import study_view

ROOT = Path(__file__).resolve().parents[2]


def drawn(width):
    recorded = json.loads((ROOT / "benchmarks" / "results" / "methods.json").read_text("utf-8"))
    arms = TypeAdapter(tuple[Arm, ...]).validate_python(recorded["arms"])
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(study_view(figures_of(arms, {}), PERPLEXITY))
    return console.export_text()


def test_columns_go_from_the_right_and_no_name_or_number_is_cut():
    narrow, wide = (drawn(width).partition("density by tensor")[0] for width in (80, 200))
    assert "Selfish-RNN      3  54.69 ± 1.03  75.33 ± 0.28   +10.89 (+9.03 … +12.75)" in narrow
    assert "no room for test − dense, density, explored, time; --format has all" in narrow
    assert "explored  time" in wide
    assert "no room" not in wide
    row = next(line for line in drawn(40).splitlines() if line.startswith("Selfish-RNN"))
    assert row.split() == ["Selfish-RNN", "3", "54.69", "±", "1.03"]  # the least there is
