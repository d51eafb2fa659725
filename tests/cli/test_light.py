"""Commands that must answer at once import nothing heavy."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "ax", "botorch", "pandas", "plotly", "jinja2")
PROGRAM = """
import sys
from hyperprune.cli import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
print([name for name in {heavy} if name in sys.modules], code or 0, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["run", "--help"],
        ["validate", "quickstart"],
        ["recipes"],
        ["schema"],
        ["plugins"],
        ["plugins", "--json"],
        ["plugins", "show", "pydoc"],
    ],
)
def test_nothing_heavy_is_imported(words):
    program = PROGRAM.format(heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[] 0", done.stderr


def test_help_needs_no_recipe_and_no_plugin():
    unneeded = ("pydantic", "hyperprune.recipe", "hyperprune.plugins", "hyperprune.judgement")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(heavy=unneeded), "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[] 0", done.stderr


def test_a_run_does_not_import_torchs_compiler(tmp_path):
    """A second of every process, for what is not used."""
    program = """
import pathlib, sys
from hyperprune.testing import tiny_run
tiny_run(pathlib.Path(sys.argv[1]), "search.searcher=random")
print("torch._dynamo" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "False"
