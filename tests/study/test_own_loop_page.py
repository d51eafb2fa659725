"""The page about a loop of one's own: its blocks run, and its search finds what is planted."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

PAGE = Path(__file__).parents[2] / "docs" / "own-loop.md"


def test_the_examples_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    best = names["again"].best
    assert best.configuration["lr"] == 0.03  # with the other, nothing is learned
    assert best.loss < 0.7  # a guess among four: 1.386
    assert "dense: " in capsys.readouterr().out
    with torch.no_grad():
        right = names["winner"](names["valid_x"]).argmax(1) == names["valid_y"]
        loss = nn.functional.cross_entropy(names["winner"](names["valid_x"]), names["valid_y"])
    assert float(loss) == best.loss
    assert right.float().mean() > 0.7
