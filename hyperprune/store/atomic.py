"""Files that are complete or absent: written beside their place, synced, then renamed into it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hyperprune.errors import RunError

PARTIAL = ".partial"


def write(path: Path, fill: Callable[[Path], None]) -> None:
    """Let `fill` write a neighbour of `path`, sync it and rename it; raises RunError, path untouched."""
    partial = path.with_name(path.name + PARTIAL)
    try:
        _make_folder(path.parent)
        partial.unlink(missing_ok=True)  # left by a crash, or a link that leads elsewhere
        fill(partial)
        sync(partial)
        partial.replace(path)
        sync(path.parent)
    except (OSError, SafetensorError) as error:  # safetensors wraps what the disk said
        _discard(partial)
        reason = getattr(error, "strerror", None) or str(error)
        raise RunError(
            f"cannot write {path}: {reason}; free the space or the permission"
        ) from error
    except BaseException:
        _discard(partial)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    write(path, lambda partial: _fill_text(partial, text))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    write(path, lambda partial: _fill_bytes(partial, content))


def _fill_bytes(partial: Path, content: bytes) -> None:
    partial.write_bytes(content)


def _fill_text(partial: Path, text: str) -> None:
    partial.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, sort: bool = True) -> None:
    """Write JSON atomically, keys sorted, so that equal values make equal files."""
    write_text(path, json.dumps(value, indent=2, sort_keys=sort, allow_nan=False) + "\n")


def copy(source: Path, path: Path) -> None:
    """Copy a file's content atomically."""
    write(path, lambda partial: _fill_copy(source, partial))


def _fill_copy(source: Path, partial: Path) -> None:
    shutil.copyfile(source, partial)


def read_json(path: Path) -> Any:
    """Read a JSON file; raises RunError saying which file is missing or damaged."""
    try:
        return parse_json(path.read_bytes())
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: not JSON") from error


def parse_json(content: bytes | str) -> Any:
    """Parse JSON as its standard has it, without NaN; raises ValueError and RecursionError."""
    return json.loads(content, parse_constant=_no_number)


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Write tensors with JSON metadata as one safetensors file, atomically."""
    ready = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    header = {"hyperprune": json.dumps(metadata, sort_keys=True, allow_nan=False)}
    write(path, lambda partial: save_file(ready, partial, metadata=header))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], Any]:
    """Read what `write_tensors` wrote; raises RunError on a missing or damaged file.

    Nothing in the file is executed, and nothing is allocated that the file's own size does not
    cover: safetensors holds every shape against the bytes that are there.
    """
    with _opened(path) as file:
        metadata = _metadata(file)
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118


def read_metadata(path: Path) -> Any:
    """Read the metadata alone of what `write_tensors` wrote; raises RunError as `read_tensors` does."""
    with _opened(path) as file:
        return _metadata(file)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can raise almost anything
        raise RunError(f"{path} is damaged: {error}") from error


def _metadata(file: Any) -> Any:
    return parse_json((file.metadata() or {}).get("hyperprune", "{}"))


def sync(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open folders, and needs no such thing
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_folder(folder: Path) -> None:
    """Make a folder that survives a power loss: its name is on the disk, and its parents' names."""
    if not folder.is_dir():
        _make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        sync(folder.parent)


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):  # the first error is the one to report
        path.unlink(missing_ok=True)
