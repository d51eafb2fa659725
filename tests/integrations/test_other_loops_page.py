"""The page about other libraries' loops runs with these libraries."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

for library in ("lightning.pytorch", "transformers", "accelerate"):
    pytest.importorskip(library)
PAGE = Path(__file__).parents[2] / "docs" / "other-loops.md"


@pytest.mark.filterwarnings("ignore")  # the libraries' own
def test_the_examples_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec"), names)
    engine = names["callback"].engine
    assert engine.topology().active == round(0.2 * 4 * 16 * 19)
    assert engine.updates == 3  # 8 rows a batch, 16 steps
