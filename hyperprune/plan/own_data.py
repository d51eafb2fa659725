"""What a person's data are, as far as a first recipe must know: which corpus, which task, how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperprune.corpus import Corpus, Part, Sequences
from hyperprune.corpus.array_files import SPLITS, SUFFIXES
from hyperprune.corpus.load import load_corpus
from hyperprune.errors import CorpusError, nearest
from hyperprune.plugins import registry
from hyperprune.plugins.defaults import FOLDER, GIVEN, TASKS, Answers
from hyperprune.recipe import loads
from hyperprune.recipe.write import inline

DRIVING, LONGEST = 8, 45
"""Sequences that drive a spectrum, and their steps, where there are so many."""
MOST = 32
"""Sequences that drive it where they are short."""
IN_TIME = {"split": "time"}


@dataclass(frozen=True)
class Driving:
    """What spectra are driven by."""

    sequences: int
    burn_in: int
    steps: int


@dataclass(frozen=True)
class Found:
    """A person's data as a recipe names them."""

    corpus: str
    root: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)  # of the corpus
    task: str | None = None  # None: a text
    answers: Answers | None = None  # of sequences
    driving: Driving | None = None  # None: the default, as for a text


def wrong_data(said: str) -> str | None:
    """What is wrong with the name of data, if anything."""
    corpora = registry().names("corpus")
    path = Path(said).expanduser()
    if said in corpora or path.is_dir() or (path.is_file() and path.suffix in SUFFIXES):
        return None
    return (
        f"found {said!r}{nearest(said, corpora)}; expected a folder with train.txt, valid.txt and "
        f"test.txt, a file or folder of sequences ({', '.join(SUFFIXES)}), or a corpus: {', '.join(corpora)}"
    )


def find(said: str, task: str | None) -> Found:
    """Look at data by name or place; a task that is not said follows from their answers.

    Raises CorpusError for data that cannot be read, or do not suit the task.
    """
    path = Path(said).expanduser().absolute()
    if said in registry().names("corpus"):
        corpus, root = said, None
    else:
        corpus, root = _reader(path), str(path)
    arrays = corpus == GIVEN["corpus"]
    options: Mapping[str, Any] = {}
    data: Corpus | Sequences | None
    try:
        data = _load(corpus, root, options)
    except CorpusError:
        if not arrays or (data := _in_time(root)) is None:
            raise
        options = IN_TIME  # too few to be dealt out
    if isinstance(data, Corpus):
        return Found(corpus, root, task=task)
    answers = _answers(data.train)
    if arrays and answers == "series" and not options and not _split(path):
        cut = _in_time(root)  # a series tells of its own future
        options, data = ({}, data) if cut is None else (IN_TIME, cut)
    return Found(corpus, root, options, task or TASKS[answers], answers, driving_of(data))


def driving_of(data: Sequences) -> Driving:
    """So many sequences and steps as the validation split has, up to the default's 8 × 45 steps in all.

    Series that are too few are cut into pieces, as forecasts do.
    """
    lengths = sorted(data.valid.lengths.tolist(), reverse=True)
    longest = lengths[min(DRIVING, len(lengths)) - 1]
    if data.valid.y is None:
        longest = (longest - 1) // -(-DRIVING // len(lengths))  # one step is foretold
    whole = max(1, min(LONGEST, longest))
    able = sum(length >= whole for length in lengths)
    sequences = DRIVING if data.valid.y is None else min(able, MOST, DRIVING * LONGEST // whole)
    burn_in = 2 * whole // 9 if whole >= 20 else 0  # 10 of 45
    return Driving(sequences, burn_in, whole - burn_in)


def data_lines(found: Found) -> list[str]:
    """The section [data] of a recipe, without comments."""
    lines = ["[data]", f"corpus = {inline(found.corpus)}"]
    if found.root is not None:
        lines.append(f"root = {inline(found.root)}")
    return [*lines, *(f"{key} = {inline(value)}" for key, value in found.options.items())]


def _load(corpus: str, root: str | None, options: Mapping[str, Any]) -> Corpus | Sequences:
    return load_corpus(loads("\n".join(data_lines(Found(corpus, root, options)))).data)


def _in_time(root: str | None) -> Sequences | None:
    """Sequences cut in time; None where they cannot be."""
    try:
        data = _load(GIVEN["corpus"], root, IN_TIME)
    except CorpusError:
        return None
    return data if isinstance(data, Sequences) else None


def _reader(path: Path) -> str:
    """The corpus that reads a file, or what lies in a folder."""
    if path.is_dir() and not any(item.suffix in SUFFIXES for item in path.iterdir()):
        return FOLDER
    return GIVEN["corpus"]


def _split(path: Path) -> bool:
    """Whether a folder holds the three splits as files."""
    return path.is_dir() and set(SPLITS) <= {item.stem for item in path.iterdir()}


def _answers(part: Part) -> Answers:
    if part.y is None:
        return "series"
    return "numbers" if part.y.is_floating_point() else "labels"
