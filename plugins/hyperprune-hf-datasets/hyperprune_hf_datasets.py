"""Text in a Hugging Face data set on the disk, a word a token."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from hyperprune import hookimpl
from hyperprune.errors import CorpusError, nearest
from hyperprune.hookspecs import Contributions

if TYPE_CHECKING:
    from hyperprune.corpus import Corpus


def hf_dataset(
    root: Path | None,
    *,
    column: str = "text",
    train: str = "train",
    valid: str = "validation",
    test: str = "test",
    vocabulary: Annotated[int, Field(ge=3)] = 10_000,
) -> Corpus:
    """Text of a data set that `DatasetDict.save_to_disk` wrote in the folder `data.root`.

    Words are what blanks separate; every line of a row ends with one `<eos>`. Raises CorpusError.
    """
    from hyperprune.corpus import corpus_from_words

    if root is None:
        raise CorpusError("corpus 'hf_dataset' needs data.root: a folder that save_to_disk made")
    splits = _load(root)
    words = [_words(root, splits, name, column) for name in (train, valid, test)]
    return corpus_from_words("hf_dataset", *words, limit=vocabulary)


def _load(root: Path) -> Any:
    """The splits by name; raises CorpusError for a folder of anything else."""
    from datasets import DatasetDict, load_from_disk

    try:
        found = load_from_disk(str(root))
    except Exception as error:  # a missing folder, a damaged file
        said = str(error).partition("\n")[0]
        raise CorpusError(f"{root} holds no data set that save_to_disk made: {said}") from error
    if not isinstance(found, DatasetDict):
        raise CorpusError(
            f"{root} holds one split; save a DatasetDict with training, validation and test data"
        )
    return found


def _words(root: Path, splits: Any, name: str, column: str) -> list[str]:
    if name not in splits:
        known = ", ".join(splits)
        raise CorpusError(f"{root} has no split {name!r}{nearest(name, splits)}; it has {known}")
    rows = splits[name]
    if column not in rows.column_names:
        known = ", ".join(rows.column_names)
        hint = nearest(column, rows.column_names)
        raise CorpusError(f"{root}, split {name!r}, has no column {column!r}{hint}; it has {known}")
    found: list[str] = []
    for number, text in enumerate(rows[column]):
        if not isinstance(text, str):
            kind = type(text).__name__
            raise CorpusError(f"{root}, split {name!r}, row {number}: {column} is {kind}, no text")
        for line in text.splitlines():
            found += [*line.split(), "<eos>"]
    return found


@hookimpl
def hyperprune_corpora() -> Contributions:
    """Offer the corpus."""
    return {"hf_dataset": hf_dataset}
