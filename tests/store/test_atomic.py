"""Every write, made to fail at every call of the operating system, leaves the old file or the new."""

import errno
import os
from pathlib import Path

import pytest
import torch

from hyperprune.errors import RunError
from hyperprune.store import atomic


def write_json(path):
    atomic.write_json(path, {"value": "new"})


def write_tensors(path):
    atomic.write_tensors(path, {"w": torch.ones(3)}, {"value": "new"})


def value_of(path: Path) -> str:
    if path.suffix == ".json":
        return atomic.read_json(path)["value"]
    return atomic.read_tensors(path)[1]["value"]


WRITERS = [(write_json, "file.json"), (write_tensors, "file.safetensors")]
FAULTS = {
    "ENOSPC at sync": ("os.fsync", errno.ENOSPC),
    "EIO at sync": ("os.fsync", errno.EIO),
    "EACCES at open": ("os.open", errno.EACCES),
    "rename fails": ("pathlib.Path.replace", errno.EACCES),
}


@pytest.mark.parametrize(("writer", "name"), WRITERS)
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch, writer, name, fault):
    path = tmp_path / name
    writer(path)
    before = path.read_bytes()
    target, code = FAULTS[fault]

    def fail(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(target, fail)
        with pytest.raises(RunError, match=r"cannot write .*file"):
            writer(path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == [name]
    assert value_of(path) == "new"


def test_a_folder_that_cannot_be_made_is_named(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("pathlib.Path.mkdir", fail)
    with pytest.raises(RunError, match="Read-only file system"):
        write_json(tmp_path / "new" / "file.json")


def test_what_is_written_lands_in_its_place_and_not_behind_a_link(tmp_path):
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("file.json", f"file.json{atomic.PARTIAL}"):
        (folder / name).symlink_to(treasure)
    write_json(folder / "file.json")
    assert treasure.read_text() == "mine"
    assert not (folder / "file.json").is_symlink()


def test_a_short_write_is_never_renamed_into_place(tmp_path):
    path = tmp_path / "file.txt"

    def half(partial: Path) -> None:
        partial.write_text("hal")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunError, match="No space left"):
        atomic.write(path, half)
    assert list(tmp_path.iterdir()) == []


def test_tensors_and_metadata_come_back(tmp_path):
    path = tmp_path / "deep" / "file.safetensors"
    mask = torch.tensor([[True, False]])
    atomic.write_tensors(path, {"w": torch.arange(6.0).view(2, 3).t(), "m": mask}, {"epoch": 3})
    tensors, metadata = atomic.read_tensors(path)
    assert metadata == {"epoch": 3}
    assert torch.equal(tensors["w"], torch.tensor([[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]))
    assert torch.equal(tensors["m"], mask)


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 64, b"\xff" * 8 + b"{}"])
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    with pytest.raises(RunError, match=r"file\.safetensors"):
        atomic.read_tensors(path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(RunError, match=r"cannot read .*file\.safetensors"):
        atomic.read_tensors(tmp_path / "file.safetensors")
    with pytest.raises(RunError, match=r"cannot read .*file\.json"):
        atomic.read_json(tmp_path / "file.json")
