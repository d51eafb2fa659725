"""The guide says what is true: its code runs, its commands exist, every hook has an example."""

import contextlib
import importlib
import io
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import types
from importlib import metadata
from pathlib import Path

import pytest

import hyperprune
from hyperprune import API_VERSION, cli
from hyperprune.plugins import HOOKS, Registry, known_packages, registry
from hyperprune.recipe import loads
from hyperprune.testing import check
from hyperprune.testing.tiny import RECIPE, tiny_arrays, tiny_recipe, tiny_run, tiny_text

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGES = [
    DOCS / name
    for name in (
        "index.md",
        "install.md",
        "quickstart.md",
        "winner.md",
        "export.md",
        "smallest.md",
        "method.md",
        *(
            f"plugins/{name}.md"
            for name in ("using", "directory", "tutorial", "testing", "upgrade")
        ),
    )
]
"""Pages that no other test runs; hooks.md is run hook by hook."""
FENCE = re.compile(
    r"(?:<!-- not run: (?P<why>[^>]+) -->\n)?```(?P<language>\w+)\n(?P<code>.*?)```", re.S
)


def blocks(page, language):
    """Code of a page's fences in a language, those with a reason not to be run left out."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [m["code"] for m in found if m["language"] == language and not m["why"]]


def commands():
    return [
        (page, line)
        for page in PAGES
        for block in blocks(page, "sh")
        for line in block.splitlines()
        if line.startswith("hyperprune ")
    ]


CLASSIFIED = (
    "data.corpus=arrays",
    "task.name=classification",
    "spectrum.burn_in=0",
    "spectrum.steps=5",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder in which the quickstart has been run; it is the tiny recipe here."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HYPERPRUNE_CACHE", str(folder / "cache"))
        tiny_run(folder)
    (folder / "runs").mkdir()
    shutil.move(folder / "run", folder / "runs" / "first")
    root = f'corpus = "text"\nroot = "{tiny_text(folder / "text")}"'
    text = RECIPE.read_text().replace('corpus = "text"', root)
    (folder / "quickstart.toml").write_text(text)
    winner = hyperprune.load_winner(folder / "runs" / "first")
    winner.export("compact", folder / "winner.hyp")
    (folder / "text.txt").write_text("w0 w1 w4\n")
    arrays = tiny_arrays(folder / "arrays")
    hyperprune.run(tiny_recipe(arrays, *CLASSIFIED), folder=folder / "runs" / "gestures")
    shutil.copy(arrays / "test.npz", folder / "held.npz")
    return folder


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: str(value)[-60:])
def test_commands(page, line, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    monkeypatch.setattr("hyperprune.recipe.load.find_recipe", lambda name: folder / f"{name}.toml")
    words = shlex.split(line)
    if "cp" in words:
        (folder / "mine.toml").unlink(missing_ok=True)
    if words[1] == "run" and "--dry-run" not in words:
        words = [word.replace("runs/first", str(folder / "again")) for word in words]
        shutil.rmtree(folder / "again", ignore_errors=True)
    monkeypatch.setattr(sys, "argv", words)
    try:
        code = cli.main()
    except SystemExit as stop:
        code = stop.code
    assert not code, capsys.readouterr().err


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    namespace = {"__name__": "docs"}
    with contextlib.redirect_stdout(io.StringIO()):
        for code in blocks(page, "python"):
            if "hyperprune_noisy" in code or "hyperprune-noisy" in code:
                continue  # the tutorial's own package: see below
            exec(compile(code, str(page), "exec"), namespace)


@pytest.fixture
def everything(monkeypatch):
    """The example packages and the tutorial's, registered as if they were installed."""
    found = Registry(dict(registry().contributions))
    for folder in (*(DOCS.parent / "plugins").glob("hyperprune-*"), DOCS / "plugins" / "noisy"):
        about = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        monkeypatch.syspath_prepend(folder)
        for module in about["entry-points"]["hyperprune"].values():
            found.add_plugin(importlib.import_module(module), about["name"], about["version"])
    monkeypatch.setattr(registry(), "contributions", found.contributions)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
@pytest.mark.usefixtures("everything")
def test_recipes(page):
    for text in blocks(page, "toml"):
        if "entry-points" not in text:
            loads(text, str(page))


def section(hook):
    text = (DOCS / "plugins" / "hooks.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {hook}\n(.*?)(?=^## |\Z)", text, re.S | re.M)
    assert found, f"docs/plugins/hooks.md has no section {hook}"
    return found[1]


@pytest.mark.parametrize(("kind", "hook"), HOOKS.items())
def test_every_hook_is_documented_by_an_example_that_keeps_its_contract(kind, hook):
    (example,) = re.findall(r"```python\n(.*?)```", section(hook), re.S)
    module = types.ModuleType(f"example_{kind}")
    sys.modules[module.__name__] = module
    exec(compile(example, f"{hook} in hooks.md", "exec"), vars(module))
    found = Registry()
    found.add_plugin(module, "docs", "0")
    (item,) = found.contributions.values()
    assert item.kind == kind
    check(item)


def test_the_hook_reference_has_no_hook_that_is_not_there():
    text = (DOCS / "plugins" / "hooks.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (hyperprune_\w+)", text, re.M) != []
    assert set(re.findall(r"^## (hyperprune_\w+)", text, re.M)) == set(HOOKS.values())


def test_the_tutorial_shows_the_source_that_is_tested():
    shown = blocks(DOCS / "plugins" / "tutorial.md", "python")
    files = ("hyperprune_noisy.py", "tests/test_noisy.py", "tests/test_contract.py")
    assert shown == [(DOCS / "plugins" / "noisy" / name).read_text() for name in files]


def test_the_directory_lists_every_known_package():
    text = (DOCS / "plugins" / "directory.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \|", text, re.M)
    assert {package for package, _ in rows} == set(known_packages())
    for package, provides in rows:
        for kind, names in known_packages()[package]["provides"].items():
            assert all(f"{kind} `{name}`" in provides for name in names)


def test_the_upgrade_guide_has_every_api():
    text = (DOCS / "plugins" / "upgrade.md").read_text(encoding="utf-8")
    assert {int(number) for number in re.findall(r"^## API (\d+)", text, re.M)} == set(
        range(1, API_VERSION + 1)
    )


TEXTS = [
    path
    for path in (
        DOCS.parent / "README.md",
        DOCS.parent / "CONTRIBUTING.md",
        *DOCS.rglob("*.md"),
        *(DOCS.parent / "plugins").glob("*/README.md"),
    )
    if "site" not in path.relative_to(DOCS.parent).parts
]


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(DOCS.parent)))
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"https?:|mailto:|#", target):
            assert (path.parent / target.partition("#")[0]).exists(), f"{path.name}: {target}"


def installed(distribution):
    """Whether a distribution is installed; a stray folder of its name does not make it so."""
    with contextlib.suppress(metadata.PackageNotFoundError):
        return bool(metadata.version(distribution))
    return False


@pytest.mark.skipif(
    not all(map(installed, ("sphinx", "myst-parser", "furo"))), reason="needs the docs extra"
)
def test_the_site_builds_without_a_warning(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
