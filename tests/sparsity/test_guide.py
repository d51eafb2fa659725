"""The guide's examples run, and do what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "sparse-training.md"


def test_the_examples_of_the_guide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    assert names["accuracy"] > 0.9
    weights = 4 * 48 * (2 + 48)
    assert f"right with {round(0.2 * weights)} weights" in capsys.readouterr().out
    assert names["report"].active == round(0.2 * weights)
    assert (tmp_path / "masks.safetensors").exists()


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
