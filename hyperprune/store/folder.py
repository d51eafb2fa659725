"""Which folders a run may have, and what may lie in them."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import time
from pathlib import Path

from hyperprune.errors import RunError
from hyperprune.store import layout
from hyperprune.store.lock import is_lock
from hyperprune.training.outcome import DENSE

FILES = (
    layout.RECIPE,
    layout.MADE,
    layout.RESULT,
    layout.CARD,
    layout.VOCABULARY,
    layout.SEQUENCES,
    layout.JOURNAL,
    layout.LOG,
    layout.LOCK,
    layout.AT_WORK,
)
FOLDERS = rf"{layout.WINNER}|{layout.CODE}|({DENSE}|c[0-9]{{3,5}})(-s[0-9]{{1,3}}|-int8)?"
OURS = re.compile(rf"({'|'.join(re.escape(name) for name in FILES)}|{FOLDERS})(\.partial)?")
"""Names in a run folder that a run reads or writes; what else lies there is somebody else's."""


def new_folder(title: str) -> Path:
    """Make the folder of a new run, named by title and time; no two runs get the same."""
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in title.lower())
    stem = "-".join(part for part in words.split("-") if part)[:40] or "run"
    base = Path("runs") / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in itertools.count(1):
        folder = base if number == 1 else base.with_name(f"{base.name}-{number}")
        try:
            folder.parent.mkdir(exist_ok=True)
            folder.mkdir()  # of runs that start at one instant, one succeeds
            return folder
        except FileExistsError:
            continue
        except OSError as error:
            raise RunError(f"cannot make {folder}: {error.strerror}") from error
    raise AssertionError("numbers do not end")


def check_new(folder: Path, record: str = layout.MADE) -> None:
    """Raise RunError unless a new run can have the folder: absent, empty, or begun and not made.

    Nothing of anybody's is replaced. A run that was stopped before its run.json was written leaves
    a lock that names its owner, and at most a torn neighbour of run.json.
    """
    check_name(folder)
    try:
        found = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"cannot make a run in {folder}: {error.strerror}") from error
    if layout.MADE in found:
        raise RunError(
            f"{folder} holds a run already; `hyperprune resume {folder}` goes on with it"
        )
    begun = {f"{record}.partial"}
    if is_lock(folder / layout.LOCK):
        begun |= {layout.LOCK, layout.CODE}
    if strange := [name for name in found if name not in begun]:
        listed = ", ".join(strange[:3]) + (", …" if len(strange) > 3 else "")
        raise RunError(
            f"{folder} is not empty ({listed}); a new run takes a new or an empty folder, so that "
            "it replaces nothing"
        )


def check_name(folder: Path) -> None:
    """Raise RunError for a folder whose path is no UTF-8 text, which safetensors cannot open."""
    path = str(folder.absolute())
    try:
        path.encode()
    except UnicodeEncodeError:
        shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
        raise RunError(
            f"the path {shown} is not valid UTF-8; rename the folder, or choose another place"
        ) from None


def check_plain(folder: Path) -> None:
    """Refuse links, pipes and devices under the names that a run uses: it writes into its folder only.

    Other names are left alone, whatever they are: an editor's lock, a note, a folder of somebody's.
    """

    def fail(error: OSError) -> None:
        raise RunError(f"cannot read {error.filename}: {error.strerror}") from error

    try:
        entries = sorted(path for path in folder.iterdir() if OURS.fullmatch(path.name))
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"cannot read {folder}: {error.strerror}") from error
    for path in entries:
        _check_ordinary(path)
        for place, folders, files in os.walk(path, onerror=fail) if path.is_dir() else ():
            for name in (*folders, *files):
                if not name.startswith("."):  # an editor's; a run's own names have no dot in front
                    _check_ordinary(Path(place) / name)


def _check_ordinary(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # renamed meanwhile by who works on it
        mode = path.lstat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise RunError(
                f"{path} is a link or no ordinary file; a run folder holds neither: "
                "put the file itself there"
            )
