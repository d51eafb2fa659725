"""A run's frames as files for other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hyperprune.errors import RunError, nearest
from hyperprune.judgement.frames import RunData

FORMATS = ("csv", "parquet")
FRAMES = ("curves", "densities", "spectra", "candidates", "trainings")


def write_data(folder: Path, out: Path, form: str) -> Iterator[Path]:
    """Write every frame of a run into a new or empty folder; yields the files; raises RunError."""
    if form not in FORMATS:
        raise RunError(f"no format {form!r}{nearest(form, FORMATS)}; formats: {', '.join(FORMATS)}")
    data = RunData(folder)
    try:
        if out.exists() and any(out.iterdir()):
            raise RunError(f"{out} is not empty; choose a new folder")
        out.mkdir(parents=True, exist_ok=True)
        for name in FRAMES:
            frame = getattr(data, name)()
            path = out / f"{name}.{form}"
            if form == "csv":
                frame.to_csv(path, index=False)
            else:
                frame.to_parquet(path, index=False)
            yield path
    except ImportError as error:
        raise RunError("Parquet needs pyarrow: pip install pyarrow, or --format csv") from error
    except OSError as error:
        raise RunError(f"cannot write {out}: {error.strerror or error}") from error
