"""Files between machines arrive whole or not at all, and go nowhere else."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hyperprune.corpus import scaled
from hyperprune.corpus.load import load_corpus, provide
from hyperprune.errors import RunError
from hyperprune.recipe.records import Data
from hyperprune.store import parcel, texts
from hyperprune.store.parcel import Item
from hyperprune.testing import tiny_corpus, tiny_sequences


def item(content):
    return Item(content, hashlib.sha256(content).hexdigest())


def filled(folder, **files):
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_an_epoch_brings_what_is_new(tmp_path):
    filled(tmp_path / "a", checkpoint=b"c2", best=b"b1", spectra__0001=b"s1", spectra__0002=b"s2")
    found = parcel.of_epoch(tmp_path / "a", 2, known={})
    assert set(found) == {
        "spectra/0002.safetensors",
        "best.safetensors",
        "checkpoint.safetensors",
    }
    known = {"best.safetensors": found["best.safetensors"].sha256}
    assert "best.safetensors" not in parcel.of_epoch(tmp_path / "a", 2, known)
    parcel.unpack(found, tmp_path / "b")
    for name in found:
        assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "a" / name).read_bytes()


def test_what_ends_early_leaves_its_start(tmp_path):
    filled(tmp_path, start=b"m", checkpoint=b"c")
    assert set(parcel.of_end(tmp_path, {})) == {"start.safetensors"}
    assert parcel.of_end(tmp_path, {"start.safetensors": "sent"}) == {}
    assert set(parcel.to_go_on(tmp_path)) == {"checkpoint.safetensors"}
    (tmp_path / "given.safetensors").write_bytes(b"of another training")
    assert set(parcel.to_go_on(tmp_path)) == {"checkpoint.safetensors", "given.safetensors"}
    assert parcel.to_go_on(tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    "name", ["../checkpoint.safetensors", "/etc/passwd", "lock", "spectra/1.safetensors", ""]
)
def test_a_name_that_is_none_writes_nothing(tmp_path, name):
    with pytest.raises(RunError, match="no file of a training"):
        parcel.unpack({"best.safetensors": item(b"x"), name: item(b"y")}, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_damaged_file_writes_nothing(tmp_path):
    damaged = Item(b"y", hashlib.sha256(b"x").hexdigest())
    with pytest.raises(RunError, match=r"checkpoint\.safetensors arrived damaged"):
        parcel.unpack(
            {"best.safetensors": item(b"x"), "checkpoint.safetensors": damaged}, tmp_path / "run"
        )
    assert not (tmp_path / "run").exists()


def test_the_checkpoint_comes_last(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        parcel.atomic, "write_bytes", lambda path, content: written.append(path.name)
    )
    names = ("checkpoint.safetensors", "spectra/0003.safetensors", "best.safetensors")
    parcel.unpack({name: item(b"x") for name in names}, tmp_path)
    assert written == ["best.safetensors", "0003.safetensors", "checkpoint.safetensors"]


def test_a_folder_is_shared_where_a_word_shows_it(tmp_path):
    (tmp_path / "here").mkdir()
    (tmp_path / "other").mkdir()
    path = parcel.put_nonce(tmp_path / "here", "a" * 32)
    assert parcel.sees(path, "a" * 32)
    assert not parcel.sees(path, "b" * 32)  # another run's folder of the same name
    assert not parcel.sees(tmp_path / "other" / path.name, "a" * 32)  # another root
    assert [item.name for item in (tmp_path / "here").iterdir()] == [path.name]


def test_a_text_is_fetched_once_a_machine(tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path))
    corpus, asked = tiny_corpus(), []

    def fetch():
        asked.append(1)
        return texts.dumped(corpus)

    for _ in range(3):
        found = texts.fetched(corpus.sha256, fetch)
        assert (found.name, found.vocabulary) == (corpus.name, corpus.vocabulary)
        assert all(
            torch.equal(getattr(found, split), getattr(corpus, split))
            for split in ("train", "valid", "test")
        )
    assert len(asked) == 1
    (kept,) = Path(tmp_path).rglob("text.safetensors")
    kept.write_bytes(kept.read_bytes()[:-3])
    assert texts.fetched(corpus.sha256, fetch).sha256 == corpus.sha256  # fetched anew
    assert len(asked) == 2


@pytest.mark.parametrize("kind", sorted(tiny_sequences()))
def test_sequences_travel_whole(kind):
    data = tiny_sequences()[kind]
    found = texts.loaded(texts.dumped(data), texts.key_of(data))
    assert (found.name, found.labels, found.sha256) == (data.name, data.labels, data.sha256)
    assert (found.mean, found.scale) == (None, None)


def test_sequences_are_told_apart_by_their_scale_too():
    """Twice the numbers, scaled by twice as much, are the same input; a task may read the scale."""
    data = tiny_sequences()["labelled"]
    once = scaled(data)
    twice = scaled(
        replace(data, **{s: doubled(getattr(data, s)) for s in ("train", "valid", "test")})
    )
    assert once.sha256 == twice.sha256
    assert texts.key_of(once) != texts.key_of(twice)
    found = texts.loaded(texts.dumped(twice), texts.key_of(twice))
    assert torch.equal(found.scale, 2 * once.scale)
    with pytest.raises(RunError, match="has sha256"):
        texts.loaded(texts.dumped(twice), texts.key_of(once))


def doubled(part):
    return replace(part, x=2 * part.x)


def test_another_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(tmp_path))
    with pytest.raises(RunError, match="has sha256"):
        texts.fetched("0" * 64, lambda: texts.dumped(tiny_corpus()))
    with pytest.raises(RunError, match="is damaged"):
        texts.fetched("0" * 64, lambda: b"garbage")


def test_a_provided_text_stands_for_one_that_is_not_here(monkeypatch):
    monkeypatch.setattr("hyperprune.corpus.load._provided", {})
    data = Data.model_validate({"corpus": "text", "root": "/nowhere"})
    provide(data, tiny_corpus())
    assert load_corpus(data).sha256 == tiny_corpus().sha256
