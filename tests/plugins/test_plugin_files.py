"""Own code in one file: run where it is named and nowhere else, kept by the run, refused when changed."""

import sys

import pytest

import hyperprune
from hyperprune.cli import app
from hyperprune.errors import PluginError, RecipeError, RunError
from hyperprune.plugins import KINDS, in_use, registry, use
from hyperprune.scaffold import write_file
from hyperprune.testing import contributions, tiny_recipe, tiny_text, verdict

SLOW = '''
from hyperprune import hookimpl
from hyperprune.hookspecs import example

def slow(progress: float, start: float) -> float:
    """A SHARE of the rate at the start."""
    return start * SHARE

@hookimpl
def hyperprune_schedules():
    return {"slow": slow}
'''
LAYER = '''
import torch
from torch import nn
from hyperprune import hookimpl
from hyperprune.testing import TinyModel

def mine(vocabulary: int, *, hidden: int = 6) -> nn.Module:
    """One tanh layer."""
    return TinyModel(vocabulary, hidden)

@hookimpl
def hyperprune_models():
    return {"mine": mine}
'''


@pytest.fixture(autouse=True)
def _nothing_named():
    use([])
    yield
    use([])


@pytest.fixture
def slow(tmp_path):
    path = tmp_path / "slow_rate.py"
    path.write_text(SLOW.replace("SHARE", "0.5"))
    return path


def test_a_file_offers_what_it_offers_while_it_is_named(slow):
    assert "slow" not in registry().names("schedule")
    use([slow])
    item = registry().get("schedule", "slow")
    assert (item.package, item.bind({})(0.1, 0.8)) == ("slow_rate.py", 0.4)
    assert list(in_use()) == ["slow_rate.py"]
    use([])
    assert "slow" not in registry().names("schedule")


def test_another_content_is_another_plugin_and_the_same_is_not_run_again(slow):
    use([slow])
    first = registry().get("schedule", "slow").target
    use([])
    use([slow])
    assert registry().get("schedule", "slow").target is first
    slow.write_text(SLOW.replace("SHARE", "0.25"))
    use([slow])
    assert registry().bind("schedule", "slow")(0.1, 0.8) == 0.2


def test_nothing_is_written_beside_a_file_and_nothing_can_import_it(slow):
    use([slow])
    assert [path.name for path in slow.parent.iterdir()] == ["slow_rate.py"]
    assert "slow_rate" not in sys.modules


@pytest.mark.parametrize(
    ("name", "source", "said"),
    [
        ("mine.py", "x = 1\n\n1 / 0\n", "mine.py:3: ZeroDivisionError"),
        ("mine.py", "def f(:\n", "mine.py:1: SyntaxError"),
        ("mine.py", "import beside_it\n", "imports what is installed, and no file beside it"),
        ("mine.py", "raise SystemExit(3)\n", "SystemExit: 3"),
        ("mine.py", "x = 1\n", "offers nothing"),
        ("mine.py", SLOW.replace('"slow": slow', '"cosine": slow'), "registered by hyperprune"),
        ("my-gru.py", "", "expected one Python file with a plain name"),
        ("mine.txt", "", "expected one Python file"),
        ("gone.py", None, "No such file"),
    ],
)
def test_what_cannot_be_used_is_said_and_changes_nothing(tmp_path, slow, name, source, said):
    use([slow])
    if source is not None:
        (tmp_path / name).write_text(source)
    with pytest.raises(PluginError) as error:
        use([tmp_path / name])
    assert said in str(error.value)
    assert "slow" in registry().names("schedule")


def test_two_files_of_one_name_are_refused(tmp_path, slow):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / slow.name).write_text(slow.read_text())
    with pytest.raises(PluginError, match=r"two plugin files are named slow_rate\.py"):
        use([slow, tmp_path / "other" / slow.name])


def test_a_recipe_names_it_relative_to_itself(tmp_path, slow):
    recipe = tmp_path / "r.toml"
    recipe.write_text('plugins = ["slow_rate.py"]\n[prune]\nschedule = "slow"\n')
    assert hyperprune.load_recipe(recipe).plugins == (str(slow),)
    recipe.write_text('[prune]\nschedule = "slow"\n')
    with pytest.raises(RecipeError, match="no schedule named 'slow'"):
        hyperprune.load_recipe(recipe)
    assert hyperprune.load_recipe(recipe, plugins=[slow]).plugins == (str(slow),)
    slow.write_text("1 / 0\n")
    recipe.write_text('title = "x"\nplugins = ["slow_rate.py"]\n[prune]\nschedule = "slow"\n')
    with pytest.raises(RecipeError) as error:
        hyperprune.load_recipe(recipe)
    (problem,) = error.value.problems  # what the file would have offered is not also missing
    assert problem.startswith(f"{recipe}:2: plugins: {slow}:1: ZeroDivisionError")


def run_of(tmp_path, *settings):
    (tmp_path / "mine.py").write_text(LAYER)
    given = [f'plugins=["{tmp_path / "mine.py"}"]', 'model={name="mine"}', *settings]
    recipe = tiny_recipe(tiny_text(tmp_path / "text"), *given)
    return hyperprune.run(recipe, folder=tmp_path / "run")


def test_a_run_keeps_the_file_and_goes_on_with_its_own(tmp_path):
    result = run_of(tmp_path)
    folder = tmp_path / "run"
    assert (folder / "plugins" / "mine.py").read_text() == LAYER
    assert 'plugins = ["plugins/mine.py"]' in (folder / "recipe.toml").read_text()
    (tmp_path / "mine.py").write_text("1 / 0\n")  # the original is the author's to change
    moved = folder.rename(tmp_path / "moved")
    (moved / "result.json").unlink()
    use([])
    again = hyperprune.resume(moved)
    assert again.to_json() == result.to_json()


def test_a_changed_copy_is_refused_by_name_before_it_is_run(tmp_path):
    run_of(tmp_path)
    copy = tmp_path / "run" / "plugins" / "mine.py"
    (tmp_path / "run" / "result.json").unlink()
    copy.write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(RunError, match=r"plugins/mine\.py was changed since the run began"):
        hyperprune.resume(tmp_path / "run")
    assert not (tmp_path / "ran").exists()
    copy.unlink()
    with pytest.raises(RunError, match="put back the file as it was"):
        hyperprune.resume(tmp_path / "run")


def test_workers_load_it(tmp_path):
    assert run_of(tmp_path, "search.workers=2").best.epochs == 2


def test_looking_runs_nothing_and_a_network_asks_which_code_to_trust(tmp_path, capsys):
    run_of(tmp_path)
    folder = tmp_path / "run"
    copy = folder / "plugins" / "mine.py"
    (folder / "result.json").rename(folder / "result.kept")
    use([])
    for words in (["show", folder], ["report", folder], ["runs", tmp_path], ["spectrum", folder]):
        app([str(word) for word in words], standalone_mode=False)
        assert in_use() == {}, words
    (folder / "result.kept").rename(folder / "result.json")
    with pytest.raises(RunError, match="if you trust it, say --plugin"):
        hyperprune.load_winner(folder)
    network = hyperprune.load_winner(folder, plugins=[copy])
    assert network.score("w1 w2").perplexity > 0
    copy.write_text(LAYER + "\n# another\n")
    with pytest.raises(RunError, match="another file than the one"):
        hyperprune.load_winner(folder, plugins=[copy])


def test_code_outside_the_run_is_damage(tmp_path):
    run_of(tmp_path)
    record = tmp_path / "run" / "run.json"
    record.write_text(record.read_text().replace("plugins/mine.py", "../mine.py"))
    with pytest.raises(RunError, match="outside the run"):
        hyperprune.resume(tmp_path / "run")


@pytest.mark.parametrize("kind", KINDS)
def test_a_fresh_file_of_every_kind_offers_its_kind(tmp_path, kind):
    path = write_file(f"my-{kind}", kind, tmp_path)
    (item,) = contributions(str(path))
    assert (item.kind, item.name) == (kind, f"my_{kind}")
    use([])
    with pytest.raises(PluginError, match="is there already"):
        write_file(f"my-{kind}", kind, tmp_path)


def test_a_fresh_network_in_a_file_passes_the_suite(tmp_path):
    (item,) = contributions(str(write_file("my-net", "model", tmp_path)))
    assert verdict(item).state == "passed", verdict(item).reason
