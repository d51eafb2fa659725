import json
from typing import Annotated

import pytest
from pydantic import Field

from hyperprune.plugins import Broken, Contribution, registry


def example(
    progress: float, *, floor: Annotated[float, Field(ge=0, description="least rate")] = 0.1
):
    """[bold]An example[/bold] \x1b[31mschedule."""


@pytest.fixture
def registered(monkeypatch):
    found = registry()
    item = Contribution("schedule", "example", example, "hyperprune-\x1b[5mx", "1.0")
    monkeypatch.setitem(found.contributions, ("schedule", "example"), item)
    broken = Broken("hyperprune-bad", "0.2", "bad", "ImportError: \x1b[2Jno such thing")
    monkeypatch.setattr(found, "broken", [broken])
    return found


def test_the_table_names_kind_package_version_and_status(hyperprune, registered):
    result = hyperprune("plugins")
    rows = [line.split() for line in result.out.splitlines()]
    assert ["corpus", "pydoc", "hyperprune"] in [row[:3] for row in rows]
    assert any(row[:5] == ["–", "bad", "hyperprune-bad", "0.2", "broken"] for row in rows)
    assert "\x1b" not in result.out
    assert "[bold]An example[/bold] \\x1b[31mschedule." in result.out
    assert result.code == 0


def test_one_kind(hyperprune, registered):
    shown = json.loads(hyperprune("plugins", "--kind", "schedule", "--json").out)
    assert {item["kind"] for item in shown["plugins"]} == {"schedule"}
    result = hyperprune("plugins", "--kind", "schedul")
    assert (result.code, result.out) == (2, "")
    assert "no kind 'schedul' (did you mean 'schedule'?)" in result.err


def test_json_has_everything(hyperprune, registered):
    shown = json.loads(hyperprune("plugins", "--json").out)
    assert len(shown["plugins"]) == len(registered.contributions)
    assert shown["broken"] == [
        {
            "package": "hyperprune-bad",
            "version": "0.2",
            "entry_point": "bad",
            "reason": "ImportError: \x1b[2Jno such thing",
        }
    ]


def test_show_lists_options(hyperprune, registered):
    result = hyperprune("plugins", "show", "schedule:example")
    option = next(line for line in result.out.splitlines() if line.strip().startswith("floor"))
    assert option.split() == ["floor", "number,", "≥", "0", "0.1", "least", "rate"]
    assert hyperprune("plugins", "show", "example").out == result.out
    line = example.__code__.co_firstlineno
    assert f"{__file__}:{line}" in result.out.replace("\n", "")


def test_show_prints_what_a_preset_sets(hyperprune):
    result = hyperprune("plugins", "show", "rigl")
    rows = {line.split()[0]: line.split()[1:] for line in result.out.splitlines() if line.split()}
    assert rows["growth"][0] == '"gradient"'
    assert rows["update"][0] == "100"
    assert rows["regrown"][0] == '"keep"'
    assert rows["schedule"][:4] == ["{", "name", "=", '"cosine",']


def test_show_knows_near_misses(hyperprune):
    result = hyperprune("plugins", "show", "pydok")
    assert result.code == 2
    assert "nothing named 'pydok' is registered (did you mean 'pydoc'?)" in result.err
    assert hyperprune("plugins", "show", "model:pydoc").code == 2


def test_a_broken_plugin_is_a_line_on_stderr_and_nothing_more(hyperprune, registered):
    result = hyperprune("validate", "quickstart")
    assert (result.code, result.out) == (0, "quickstart: ok\n")
    assert result.err == (
        "warning: plugin hyperprune-bad 0.2 cannot be used: ImportError: \\x1b[2Jno such thing\n"
    )
