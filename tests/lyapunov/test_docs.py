"""The page about spectra: every code block runs, in order, in one namespace."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[2] / "docs" / "lyapunov.md"


def test_every_code_block_runs() -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 6
    namespace: dict[str, object] = {}
    with torch.random.fork_rng():
        for block in blocks:
            exec(compile(block, str(PAGE), "exec"), namespace)  # our own page


def test_every_distance_is_on_the_page() -> None:
    from hyperprune.builtin.distances import DISTANCES

    page = PAGE.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in DISTANCES)
