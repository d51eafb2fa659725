"""The public surface: what may be imported from outside, that nothing else is, and that it stays."""

import ast
import re
from importlib import import_module
from pathlib import Path

import pytest

import hyperprune

PACKAGE = Path(hyperprune.__file__).parent
REPOSITORY = Path(__file__).resolve().parents[1]
ARCHITECTURE = REPOSITORY / "docs" / "architecture.md"

PUBLIC = {
    "hyperprune",
    "hyperprune.corpus",
    "hyperprune.errors",
    "hyperprune.events",
    "hyperprune.execution",
    "hyperprune.figures",
    "hyperprune.hookspecs",
    "hyperprune.integrations.lightning",
    "hyperprune.integrations.transformers",
    "hyperprune.layers",
    "hyperprune.lyapunov",
    "hyperprune.lyapunov.tangent",
    "hyperprune.model",
    "hyperprune.optim",
    "hyperprune.recipe",
    "hyperprune.search.objective",
    "hyperprune.search.observation",
    "hyperprune.search.ranking",
    "hyperprune.search.space",
    "hyperprune.sparsity",
    "hyperprune.task",
    "hyperprune.testing",
}

SINCE_0_1 = {
    "hyperprune": "API_VERSION CandidateResult LyapunovSpectrum RunResult SparseTraining hookimpl "
    "hookspec load_recipe load_run lyapunov_spectrum resume run",
    "hyperprune.corpus": "END UNKNOWN Corpus batchify corpus_from_words unigram_perplexity",
    "hyperprune.errors": "CorpusError HyperpruneError PluginError RecipeError RunError "
    "SparsityError SpectrumError Stopped nearest",
    "hyperprune.events": "DENSE CandidateFailed CandidateProposed EpochFinished Event Notice Observer "
    "Plan RoundFinished RunFinished RunStarted SpectrumMeasured StageStarted StepFinished",
    "hyperprune.hookspecs": "API_VERSION Contributions control example hookimpl hookspec",
    "hyperprune.lyapunov": "Distance LayerTangent LyapunovSpectrum MemoryBlock distance_with_error "
    "kaplan_yorke lyapunov_spectrum",
    "hyperprune.lyapunov.tangent": "Block LayerTangent MemoryBlock StateKind",
    "hyperprune.model": "Gates RecurrentLM RecurrentModel State StatePart detach gate_rows losses "
    "parameter_count",
    "hyperprune.optim": "SGD SNTASGD Adam AdamW Optimizer build_optimizer",
    "hyperprune.recipe": "Choice Recipe apply dumps load_recipe loads space_of",
    "hyperprune.search.observation": "Observation SpaceExhausted",
    "hyperprune.search.space": "Configuration Dimension Range Space Values key_of",
    "hyperprune.sparsity": "SparseTraining TensorTopology TensorView Topology",
    "hyperprune.testing": "TinyModel check check_in_run contributions tiny_corpus tiny_recipe tiny_run "
    "tiny_spectrum tiny_text",
}
"""Names that version 0.1 had, by the module that plugins and docs import them from."""

PYTHON = re.compile(r"^```python\n(.*?)^```", re.S | re.M)


def imported(code: str) -> set[str]:
    """Modules of hyperprune that code names in its imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and node.module:
            # `from hyperprune import events` names a module, `from hyperprune import run` does not
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & PUBLIC
            found |= inner or {node.module}
            if node.module.split(".")[0] == "hyperprune":
                private = [alias.name for alias in node.names if alias.name.startswith("_")]
                assert not private, f"{node.module} keeps {private} to itself"
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] == "hyperprune"}


def sources() -> dict[str, str]:
    """Code that stands for a user's: packages, scaffolds, and the code blocks of pages."""
    found = {}
    for path in sorted((REPOSITORY / "plugins").rglob("*.py")):
        found[str(path.relative_to(REPOSITORY))] = path.read_text(encoding="utf-8")
    for path in sorted((PACKAGE / "scaffold" / "templates").rglob("*.py.txt")):
        code = path.read_text(encoding="utf-8")
        found[str(path.relative_to(PACKAGE))] = re.sub(r"\$\{(\w+)\}|\$(\w+)", r"\1\2", code)
    for path in sorted([REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md")]):
        blocks = PYTHON.findall(path.read_text(encoding="utf-8"))
        for number, block in enumerate(blocks, start=1):
            found[f"{path.relative_to(REPOSITORY)}, block {number}"] = block
    return found


@pytest.mark.parametrize(("where", "code"), sources().items(), ids=lambda text: text[:60])
def test_users_code_imports_only_what_is_public(where, code):
    named = {re.sub(r"^hyperprune\.layers\..*", "hyperprune.layers", m) for m in imported(code)}
    named = {re.sub(r"^hyperprune\.testing\..*", "hyperprune.testing", m) for m in named}
    assert named <= PUBLIC, f"{where} imports {sorted(named - PUBLIC)}"


def test_the_page_states_the_same_list():
    page = ARCHITECTURE.read_text(encoding="utf-8")
    table = page.partition("## The public surface")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(hyperprune[a-z_.]*)`", " ".join(rows))) == PUBLIC


@pytest.mark.parametrize("module", SINCE_0_1)
def test_names_stay_where_they_were(module):
    missing = [
        name for name in SINCE_0_1[module].split() if not hasattr(import_module(module), name)
    ]
    assert not missing


def test_dir_lists_what_is_public():
    assert dir(hyperprune) == sorted(hyperprune.__all__)


@pytest.mark.parametrize(
    "row", re.findall(r"^\| (Where .*?) \| (.*?) \|$", ARCHITECTURE.read_text("utf-8"), re.M)
)
def test_where_is_it_points_at_what_is_there(row):
    question, answer = row
    places = [place for place in re.findall(r"`([a-z_/]+(?:\.py|/))`", answer) if "/" in place]
    assert places, question
    for place in places:
        assert (PACKAGE / place).exists(), f"{question}: {place}"
    for name, place in re.findall(r"`(\w+)` (?:in|of) `([a-z_/]+\.py)`", answer):
        written = (PACKAGE / place).read_text("utf-8")
        assert re.search(rf"^(?:def |class |){name}\b", written, re.M), f"{question}: {name}"


def test_the_picture_of_storeys_is_the_one_that_holds():
    from test_house import LAYERS

    block = ARCHITECTURE.read_text("utf-8").partition("## The storeys")[2].split("```")[1]
    drawn = [
        set(line[1:].split("  ")[0].split(" · ")) for line in block.splitlines()[1:] if line.strip()
    ]
    held = [set(rooms) - {""} for rooms in reversed(LAYERS)]
    assert drawn == held
