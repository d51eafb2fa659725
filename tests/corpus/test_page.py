"""The page on corpora says what the code does."""

from pathlib import Path

import pytest

from hyperprune.builtin.corpora import CORPORA
from hyperprune.builtin.corpora.published import DATA, PTB, WIKITEXT2
from hyperprune.plugins.parameters import parameters_of

PAGE = Path(__file__).parents[2] / "docs" / "corpora.md"


@pytest.fixture(scope="module")
def rows():
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


SEQUENCES = ("arrays", "digits", "adding", "copying", "parity", "mackey_glass")


@pytest.mark.parametrize("name", SEQUENCES)
def test_every_corpus_of_sequences_is_on_the_page_of_tasks(name):
    assert name in PAGE.with_name("tasks.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(set(CORPORA) - set(SEQUENCES)))
def test_every_corpus_and_its_options_are_on_the_page(name):
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    row = next(line for line in lines if line.startswith(f"| `{name}` "))
    for option in parameters_of(CORPORA[name]):
        number = isinstance(option.default, int)
        said = f"{option.default:,}" if number else f'`"{option.default}"`'
        assert f"`{option.name}` ({said})" in row


@pytest.mark.parametrize("edition", [PTB, WIKITEXT2])
def test_files_and_counts_are_on_the_page(edition, rows):
    row = rows[edition.name]  # the last table that has it
    assert ", ".join(f"`{name}`" for name in edition.files) in row
    assert " / ".join(f"{count:,}" for count in edition.tokens) in row
    assert f"{edition.types:,}" in row
    assert f"`{edition.folder}/`" in PAGE.read_text(encoding="utf-8")


def test_the_variable_is_on_the_page():
    assert f"`{DATA}`" in PAGE.read_text(encoding="utf-8")
