"""A run's frames as files for other programs."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from hyperprune.errors import RunError, nearest
from hyperprune.judgement.frames import COLUMNS, RunData

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "parquet")
LEGEND = "columns.csv"
"""What every column of the other files holds."""


def write_data(folder: Path, out: Path, form: str) -> Iterator[Path]:
    """Write every frame of a run, and what their columns hold, into a new or empty folder.

    Yields the files. Raises RunError, before anything is written where that can be known.
    """
    if form not in FORMATS:
        raise RunError(f"no format {form!r}{nearest(form, FORMATS)}; formats: {', '.join(FORMATS)}")
    if form == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise RunError("Parquet needs pyarrow: pip install pyarrow, or --format csv")
    data = RunData(folder)
    frames = {f"{name}.{form}": getattr(data, name)() for name in COLUMNS}
    try:
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise RunError(f"{out} exists and is no empty folder; choose a new one")
        out.mkdir(parents=True, exist_ok=True)
        for file, frame in {**frames, LEGEND: _legend()}.items():
            if file.endswith(".csv"):
                frame.to_csv(out / file, index=False)
            else:
                frame.to_parquet(out / file, index=False, engine="pyarrow")
            yield out / file
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}") from error


def _legend() -> pd.DataFrame:
    import pandas as pd

    rows = [(frame, name, means) for frame, held in COLUMNS.items() for name, means in held.items()]
    return pd.DataFrame(rows, columns=["frame", "column", "holds"])
