"""The rules that hold the house up: imports flow one way, core names no plugin, one room writes."""

import ast
import tomllib
from pathlib import Path

import pytest

import hyperprune
from hyperprune.plugins import KINDS, registry
from hyperprune.plugins.defaults import NAMES
from hyperprune.store import layout

ROOT = Path(hyperprune.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[1]
FILES = sorted(ROOT.rglob("*.py"))

LAYERS = (
    ("errors", "hookspecs", "model", "runtime", "terms"),  # what everything speaks of
    ("", "events", "layers", "lyapunov", "optim", "plugins", "search"),  # "": __init__
    ("recipe", "sparsity"),
    ("corpus", "integrations"),
    ("task",),
    ("training",),
    ("plan", "store"),
    ("execution", "judgement"),
    ("builtin", "export", "pipeline", "ui"),
    ("figures", "sources", "study"),
    ("report",),
    ("bench", "scaffold", "serve", "testing"),
    ("cli",),
    ("__main__",),
)
"""Rooms from bottom to top: each imports rooms above its line in this list, never its own line's."""
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}

OTHER_MEANINGS = {
    ("terms/blocks", "none"): "weights that move one by one",
    ("bench/figures", "constant"): "a kind of error bar of the plotting library",
    ("bench/figures", "grid"): "the epochs at which a curve is read",
    ("bench/hypotheses", "both"): "a search of the preregistration, by its name there",
    ("bench/hypotheses", "loss"): "a search of the preregistration, by its name there",
    ("bench/hypotheses", "relative"): "a search of the preregistration, by its name there",
    ("bench/summary", "grid"): "the epochs at which a curve is read",
    ("bench/signals", "loss"): "the validation loss, a column of every table",
    ("cli/networks", "loss"): "a key of its JSON, the loss of an evaluated network",
    ("figures/curves", "linear"): "a kind of axis of the plotting library",
    ("figures/view", "linear"): "a kind of axis of the plotting library",
    ("figures/__init__", "lost_directions"): "a figure of this package, in __all__",
    ("hookspecs", "threshold"): "what `control(counts=…)` may declare, by any plugin",
    ("optim/learning_rate", "constant"): "a course of the learning rate",
    ("optim/learning_rate", "cosine"): "a course of the learning rate",
    ("lyapunov/__init__", "kaplan_yorke"): "a function of this package, in __all__",
    ("plugins/parameters", "none"): "an empty list, to a person",
    ("pipeline/finals", "cosine"): "a course of the learning rate",
    ("recipe/records", "constant"): "a course of the learning rate",
    ("recipe/records", "cosine"): "a course of the learning rate",
    ("recipe/shipped", "none"): "an empty list, to a person",
    ("sources/losses", "loss"): "an argument, a function of one's own",
    ("sources/search", "loss"): "an argument, a function of one's own",
    ("sparsity/engine", "threshold"): "a number in the saved state",
    ("sparsity/scale", "none"): "initial weights that are not scaled",
    ("sparsity/update", "threshold"): "what `control(counts=…)` may declare, by any plugin",
    ("testing/conformance", "text"): "a folder",
    ("testing/executors", "text"): "a folder",
    ("testing/fixtures", "text"): "a folder",
    ("testing/tiny", "text"): "a folder",
    ("ui/rows", "loss"): "a heading",
    ("judgement/sheets", "explored"): "a heading",
    ("ui/spectra", "kaplan_yorke"): "a property of a spectrum",
}
"""(module, word): where a word that is also a plugin's name means something else, and what."""

TAKE_A_RECIPE = {
    "recipe": "reads, checks and varies it",
    "plan": "settles it",
    "training": "builds a candidate from its own",
    "execution": "a job: it may be carried out on another machine, where a recipe is all there is",
    "pipeline": "carries it out",
    "judgement": "its distance, objective and goal; the verdict",
    "store": "writes it down; the key of the dense cache",
    "export": "builds a network that is loaded",
    "sources": "makes one from what is given in Python",
    "bench": "trains the rows of a table",
}
"""Rooms with a function that takes a whole recipe, and what for; all others take plain arguments."""

WRITERS = {
    "cli/init": "writes a first recipe to where a person says",
    "cli/recipes": "copies a recipe to where a person says",
    "corpus/files": "keeps the tokens of a large text in the cache",
    "export/c/check": "compiles in a temporary folder",
    "export/c/write": "writes a network's C to where a person says",
    "export/formats": "writes a network's card to where a person says",
    "export/torch_program": "writes a program to where a person says",
    "integrations/transformers": "a file in a checkpoint of another library's",
    "lyapunov/record": "saves a spectrum to a path that its caller chose",
    "report/checks": "tries whether folders can be written",
    "report/data": "writes a run's frames to where a person says",
    "report/compare": "writes a comparison to where a person says",
    "report/html": "writes a report to where a person says",
    "scaffold/__init__": "writes a new plugin",
    "sources/search": "a plugin file of what was given, into the cache",
    "sparsity/maskfile": "saves masks to a path that its caller chose",
    "testing/conformance": "a folder for a tiny run",
    "testing/observers": "a file that an observer must leave alone",
    "testing/tiny": "writes a tiny text",
}
"""Modules outside `store` that write files, none of them into a run folder by themselves."""
WRITING = {"write_text", "write_bytes", "save_file", "mkdir", "copyfile", "savez"}


def module(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").as_posix()


def room(path: Path) -> str:
    first = module(path).split("/")[0]
    return "" if first == "__init__" else first


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> set[str]:
    """Rooms that a file imports when it runs; what only a type checker sees does not count."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        names: list[str] = []
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a thing lives"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            first, _, rest = name.partition(".")
            if first == "hyperprune":
                part = rest.split(".")[0]
                found.add(part if part in HEIGHT or (ROOT / part).exists() else "")
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree(path))
    return found


def test_every_room_has_its_place():
    assert {room(path) for path in FILES} == set(HEIGHT)


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_flow_one_way(path):
    mine = room(path)
    for other in imports(path) - {mine}:
        assert HEIGHT[other] < HEIGHT[mine], (
            f"{module(path)} imports {other or 'hyperprune'}, which is not below {mine}"
        )


def names_quoted(path: Path, names: set[str]) -> set[tuple[str, str]]:
    """Plugins' names that stand in a file as strings of their own, docstrings apart."""
    whole = tree(path)
    prose = {
        id(node.value)
        for node in ast.walk(whole)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        (module(path), node.value)
        for node in ast.walk(whole)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value in names
        and id(node) not in prose
    }


def test_core_names_no_plugin():
    # A kind's own name (`distance`) is a word of core's, whatever plugins share it.
    names = {name for _, name in registry().contributions} - set(KINDS)
    core = [
        path for path in FILES if room(path) != "builtin" and module(path) != "plugins/defaults"
    ]
    found = {pair for path in core for pair in names_quoted(path, names)}
    assert found == set(OTHER_MEANINGS), (
        "core branches on no plugin's name: ask the registry, declare it with hookspecs.control, or "
        "say in OTHER_MEANINGS what else the word means"
    )


def test_defaults_name_what_ships():
    for kind, name in NAMES.items():
        assert registry().get(kind, name).package == "hyperprune"


def test_nothing_but_the_entry_point_imports_what_ships():
    assert [module(path) for path in FILES if "builtin" in imports(path) - {room(path)}] == []
    about = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert about["entry-points"]["hyperprune"] == {"builtin": "hyperprune.builtin"}


def writes(path: Path) -> bool:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Attribute, ast.Name)):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
            modes = [a.value for a in node.args if isinstance(a, ast.Constant)]
            modes += [k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)]
            opens = name == "open" and any(m in modes for m in ("w", "wb", "a", "ab", "x", "xb"))
            if name in WRITING or opens:
                return True
    return False


def test_one_room_writes():
    found = {module(p) for p in FILES if room(p) not in ("store", "bench", "builtin") and writes(p)}
    assert found == set(WRITERS), "store/ writes run folders; others say in WRITERS what they write"


def takes_a_recipe(path: Path) -> bool:
    """Whether a function of a file has a whole recipe among its arguments."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            given = node.args
            for argument in (*given.posonlyargs, *given.args, *given.kwonlyargs):
                said = argument.annotation
                names = ast.walk(said) if said is not None else ()
                if any(isinstance(n, ast.Name) and n.id == "Recipe" for n in names):
                    return True
    return False


def test_few_rooms_take_a_whole_recipe():
    found = {room(path) for path in FILES if takes_a_recipe(path)}
    assert found == set(TAKE_A_RECIPE), "hand on what the room needs, as plan/settle.py does"


def test_one_place_names_the_files_of_a_run():
    files = {value for name, value in vars(layout).items() if name.isupper() and "." in value}
    found = {
        pair
        for path in FILES
        if module(path) != "store/layout"
        for pair in names_quoted(path, files)
    }
    assert found == {("testing/observers", "journal.jsonl")}, "take the name from store/layout"


def test_no_two_test_files_share_a_name():
    """Folders of tests are no packages: pytest would import one file under the other's name."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
