"""The guide's examples run, and do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGE = DOCS / "sparse-training.md"


def run(page: Path) -> dict[str, Any]:
    """Run a page's blocks one after another; what they define."""
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(page), "exec"), names)
    return names


def test_the_examples_of_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(PAGE)
    assert names["accuracy"] > 0.9
    weights = 4 * 48 * (2 + 48)
    assert f"right with {round(0.2 * weights)} weights" in capsys.readouterr().out
    assert names["report"].active == round(0.2 * weights)
    assert (tmp_path / "masks.safetensors").exists()


def test_the_page_about_a_network_you_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(DOCS / "from-a-network.md")
    told = capsys.readouterr().out
    dense, sparse = re.search(r"dense ([\d.]+), sparse ([\d.]+)", told).groups()  # type: ignore[union-attr]
    assert float(sparse) < 0.2, "a fifth of the weights learns the sequence too"
    assert float(dense) < 0.2
    total = round(0.1 * 7104)
    assert sum(names["sparse"].counts().values()) == total
    assert {"sparse.safetensors", "masks.safetensors"} <= {p.name for p in tmp_path.iterdir()}


def test_the_guide_names_every_shipped_control() -> None:
    from hyperprune.builtin import controls

    page = PAGE.read_text(encoding="utf-8")
    kinds = (
        controls.INITS,
        controls.REMOVALS,
        controls.GROWTHS,
        controls.REDISTRIBUTIONS,
        controls.SCHEDULES,
        controls.PRESETS,
    )
    missing = [name for kind in kinds for name in kind if f"`{name}`" not in page]
    assert not missing
