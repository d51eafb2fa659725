"""A fresh plugin of every kind, and the tutorial's, pass their own tests, contract and linter."""

import shutil
import subprocess
import sys
import tomllib

import pytest
from distributions import ROOT, environment, write_distribution

from hyperprune.errors import PluginError
from hyperprune.plugins import KINDS
from hyperprune.scaffold import names_of, write_scaffold

BOTH = ("model", "growth")
PACKAGES = [*(f"hyperprune-my-{kind}" for kind in KINDS), "hyperprune-both", "hyperprune-noisy"]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A scaffold of every kind, one of two, and the tutorial's, as `pip install -e` registers them."""
    site = tmp_path_factory.mktemp("site")
    for kind in KINDS:
        folder = write_scaffold(f"my-{kind}", kind, site)
        about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        ((name, module),) = about["entry-points"]["hyperprune"].items()
        assert (about["name"], name) == (f"hyperprune-my-{kind}", f"my_{kind}")
        write_distribution(site, about["name"], module, version="0.1.0")
    folder = write_scaffold("both", [*BOTH, *BOTH], site)
    about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    entries = about["entry-points"]["hyperprune"]
    assert list(entries) == [f"both_{kind}" for kind in BOTH]
    write_distribution(site, about["name"], *entries.values(), version="0.1.0")
    shutil.copytree(ROOT / "docs" / "plugins" / "noisy", site / "hyperprune-noisy")
    write_distribution(site, "hyperprune-noisy", "hyperprune_noisy", version="0.1.0")
    return site


def path_of(site):
    return [site, *(site / package for package in PACKAGES)]


def pytest_in(site, *words):
    # Every scaffold has a test_contract.py: their folders are roots of their own.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-p", "hyperprune.testing.fixtures", "-W", "error", "--import-mode=importlib"]
    return subprocess.run(
        [*command, "--rootdir", str(site), *words],
        capture_output=True,
        text=True,
        cwd=site,
        env=environment(*path_of(site)),
        check=False,
    )


def test_fresh_scaffolds_pass_their_own_tests(site):
    # Whole runs are left to `plugins check`, below, which makes the same ones.
    done = pytest_in(site, "-k", "not test_a_run_uses_it")
    assert done.returncode == 0, done.stdout
    # each thing has its contract and a test of its own; the tutorial's has two
    things = len(PACKAGES) + len(BOTH) - 1
    assert f"{2 * things + 1} passed, {things} deselected" in done.stdout


def test_fresh_scaffolds_pass_plugins_check(site):
    words = ["plugins", "check", *PACKAGES]
    done = subprocess.run(
        [sys.executable, "-m", "hyperprune", *words],
        capture_output=True,
        text=True,
        env=environment(*path_of(site)),
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split()[:3] for line in done.stdout.splitlines()]
    wanted = [[kind, f"my_{kind}", "passed"] for kind in KINDS]
    wanted += [[kind, "both", "passed"] for kind in BOTH] + [["removal", "noisy", "passed"]]
    assert sorted(row for row in rows if row[2:] == ["passed"]) == sorted(wanted)


@pytest.mark.slow
def test_fresh_scaffolds_pass_all_of_their_own_tests(site):
    done = pytest_in(site)
    assert done.returncode == 0, done.stdout


def test_fresh_scaffolds_are_lint_clean(site):
    folders = [str(site / package) for package in PACKAGES]
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for words in (["check", "--ignore", "D1,I001"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, *config, *folders],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("asked", "name", "package", "module"),
    [
        ("late", "late", "hyperprune-late", "hyperprune_late"),
        ("hyperprune-late", "late", "hyperprune-late", "hyperprune_late"),
        ("my-late", "my_late", "hyperprune-my-late", "hyperprune_my_late"),
        ("my_late2", "my_late2", "hyperprune-my-late2", "hyperprune_my_late2"),
    ],
)
def test_names(asked, name, package, module):
    found = names_of(asked)
    assert (found.name, found.package, found.module) == (name, package, module)


@pytest.mark.parametrize(
    "asked", ["", "Late", "2late", "a b", "../late", "late-", "class", "lä", "max"]
)
def test_what_is_no_name(asked):
    with pytest.raises(PluginError, match=r"no name for a plugin|a word of Python's own"):
        names_of(asked)


def test_nothing_is_written_over_or_for_a_name_that_is_taken(tmp_path):
    write_scaffold("late", "schedule", tmp_path)
    with pytest.raises(PluginError, match="is there already"):
        write_scaffold("late", "growth", tmp_path)
    with pytest.raises(PluginError, match="hyperprune has a schedule 'cosine' already"):
        write_scaffold("cosine", "schedule", tmp_path)
    with pytest.raises(PluginError, match="hyperprune-mgu has a model 'mgu' already"):
        write_scaffold("mgu", "model", tmp_path)
    for name, kind in (("torch", "model"), ("power", "removal"), ("path", "observer")):
        with pytest.raises(PluginError, match=f"a fresh {kind} has another '{name}' in its code"):
            write_scaffold(name, kind, tmp_path)
    with pytest.raises(PluginError, match=r"no kind 'modle' \(did you mean 'model'\?\)"):
        write_scaffold("other", "modle", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["hyperprune-late"]
