"""A user's own sequences: arrays in NumPy's or safetensors' files, or rows of a CSV table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hyperprune.errors import CorpusError, nearest

if TYPE_CHECKING:
    from hyperprune.corpus import Sequences
    from hyperprune.corpus.array_files import Table

Share = Annotated[float, Field(gt=0, lt=1)]


def arrays(
    root: Path | None,
    *,
    split: Literal["random", "group", "time"] = "random",
    valid: Share = 0.15,
    test: Share = 0.15,
    split_seed: Annotated[int, Field(ge=0)] = 0,
    scale: bool = True,
    sequence: str = "sequence",
    time: str = "time",
    label: str = "label",
    group: str = "group",
) -> Sequences:
    """Your own sequences: `.npz`, `.safetensors` or `.csv` files, or a folder of them, at `data.root`.

    Arrays: `x` (N, T, F), or (sum of lengths, F) with `lengths` (N,); `y` labels or targets, one a
    sequence or one a step; `group` (N,). A table has a row a step; `sequence`, `time`, `label` and
    `group` name its columns (the last two where there are such), all others are features. A folder
    with files train, valid and test is split already; else the shares `valid` and `test` are dealt
    out by `split_seed`, whole sequences at random, whole groups together, or every sequence cut in
    time. `scale` gives every feature mean 0 and variance 1 over the training split. Raises CorpusError
    naming the file and the row of what is wrong.
    """
    from hyperprune.corpus import Sequences, cut_in_time, dealt, scaled
    from hyperprune.corpus.array_files import SPLITS, Columns, joined, part_of, read_table
    from hyperprune.corpus.labels import read_labels

    if root is None:
        raise CorpusError(
            "corpus 'arrays' needs data.root: a file x.npz, x.safetensors or x.csv, or a folder of them"
        )
    files = _files(root)
    columns = Columns(sequence, time, label, group)
    read = read_labels([read_table(path, columns) for path in files])
    tables = {table.path.stem: table for table in read}
    name = root.stem
    if set(tables) == set(SPLITS):
        labels = _labels(tables.values())
        train, held, tested = (part_of(tables[which], labels) for which in SPLITS)
        _same_shapes([tables[which] for which in SPLITS])
    else:
        whole = joined(list(tables.values()))
        labels = _labels([whole])
        one = part_of(whole, labels)
        if split == "time":
            train, held, tested = cut_in_time(name, one, valid=valid, test=test)
        else:
            by = whole.groups if split == "group" else list(range(len(one)))
            if by is None:
                raise CorpusError(
                    f"{root} has no {group!r} to split by (data.group names it); "
                    "data.split = 'random' deals out single sequences"
                )
            train, held, tested = dealt(name, one, by, valid=valid, test=test, seed=split_seed)
    found = Sequences(name, train, held, tested, labels)
    return scaled(found) if scale else found


def _files(root: Path) -> list[Path]:
    """The files of a root, sorted; raises CorpusError where there are none."""
    from hyperprune.corpus.array_files import SPLITS, SUFFIXES

    if root.is_file():
        if root.suffix not in SUFFIXES:
            raise CorpusError(f"{root} is none of {', '.join(SUFFIXES)}")
        return [root]
    if not root.is_dir():
        hint = nearest(root.name, [path.name for path in root.parent.glob("*")])
        raise CorpusError(f"there is no {root}{hint}; expected a file or a folder of sequences")
    files = sorted(path for path in root.iterdir() if path.suffix in SUFFIXES)
    stems = [path.stem for path in files]
    if not files:
        raise CorpusError(f"{root} holds no file of {', '.join(SUFFIXES)}")
    if len(set(stems)) < len(stems):
        raise CorpusError(f"{root} holds two files of one name: {', '.join(p.name for p in files)}")
    some = set(stems) & set(SPLITS)
    if some and set(stems) != set(SPLITS):
        missing = [which for which in SPLITS if which not in stems]
        if missing:
            raise CorpusError(
                f"{root} holds {', '.join(sorted(some))} and lacks {', '.join(missing)}; give all three "
                "splits, or files of other names to be split"
            )
        others = [path.name for path in files if path.stem not in SPLITS]
        raise CorpusError(f"{root} holds the three splits and {', '.join(others)} beside them")
    return files


def _labels(tables: object) -> tuple[str, ...]:
    """Names of classes where tables give them as words, over all splits, sorted."""
    from collections.abc import Iterable
    from typing import cast

    names: set[str] = set()
    for table in cast("Iterable[Table]", tables):
        names |= set(table.words)
    return tuple(sorted(names))


def _same_shapes(tables: list[Table]) -> None:
    """Raise CorpusError where splits differ in what they hold."""
    first = tables[0]
    for other in tables[1:]:
        first.check_features(other)
        if (other.y is None) != (first.y is None):
            raise CorpusError(f"of {first.path} and {other.path} only one has y")
