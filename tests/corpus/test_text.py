"""One reader of texts: what it takes, what it refuses and with which words, and what it costs."""

import os

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperprune.builtin.corpora.characters import characters, characters_of
from hyperprune.corpus import corpus_from_files, corpus_from_words, files, read_text, text
from hyperprune.corpus.text import read_characters, read_words
from hyperprune.corpus.words import encode, reader_of, words_by_blanks
from hyperprune.errors import CorpusError
from hyperprune.recipe.records import Data

MARK = "\ufeff"


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def words_of(path):
    return [word for some in read_words(path) for word in some]


def test_a_byte_order_mark_is_no_part_of_the_first_word(tmp_path):
    path = written(tmp_path / "a.txt", MARK + "a b\n")
    assert read_text(path) == "a b\n"
    assert words_of(path) == ["a", "b", "<eos>"]


@pytest.mark.parametrize("reader", [read_text, words_of])
@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a b\n".encode("utf-16"), "begins as UTF-16 does"),
        ("a b\n".encode("utf-16-le"), "a NUL in line 1"),
        ("a b\n".encode("utf-16-be"), "a NUL in line 1"),
        (b"a\nb\n\0", "a NUL in line 3"),
        (b"a\nb \xff c", "invalid start byte in line 2"),
        (b"a\nb\nc \xe2\x82", "unexpected end of data in line 3"),
    ],
)
def test_what_is_no_text_is_refused_in_one_sentence(tmp_path, reader, content, complaint):
    path = written(tmp_path / "a.txt", content)
    with pytest.raises(CorpusError) as raised:
        reader(path)
    assert complaint in str(raised.value)
    assert f"{path} is not UTF-8 text" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("reader", [read_text, words_of])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe")
    for path, what in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a folder")):
        with pytest.raises(CorpusError, match=f"is {what}.*; expected a file of UTF-8 text"):
            reader(path)
    with pytest.raises(CorpusError, match="cannot read"):
        reader(tmp_path / "a\0b")


@given(
    st.text(st.sampled_from("ab é\u2003\n\r\t𝄞\u0085"), max_size=30),
    st.integers(1, 9),
)
def test_pieces_of_any_size_give_the_words_of_the_whole(tmp_path_factory, content, size):
    path = written(tmp_path_factory.getbasetemp() / "pieces.txt", content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text, "PIECE", size)
        if content:
            assert words_of(path) == words_by_blanks(content, {})
            signs = [sign for some in read_characters(path) for sign in some]
            assert signs == characters_of(content, {})
            ended = content.replace("\r\n", "\n").removesuffix("\n") + "\n"
            assert "".join(signs).replace("<eos>", "\n") == ended
            assert read_text(path) == content.replace("\r\n", "\n")
        else:
            for reader in (words_of, lambda path: list(read_characters(path))):
                with pytest.raises(CorpusError, match="is empty"):
                    reader(path)


SPLITS = {"train": "b a b\na c\n", "valid": "a d\n", "test": "b e\n"}


@pytest.fixture
def folder(tmp_path):
    return [written(tmp_path / f"{name}.txt", content) for name, content in SPLITS.items()]


@pytest.mark.parametrize("limit", [0, 4])
@pytest.mark.parametrize("large", [0, 1 << 20])
def test_files_are_the_same_corpus_as_their_words(folder, monkeypatch, limit, large):
    monkeypatch.setattr(files, "LARGE", large)
    plain = corpus_from_words("x", *(words_of(path) for path in folder), limit=limit)
    for _ in range(2):  # read, and found
        found = corpus_from_files("x", folder, limit=limit)
        assert found.vocabulary == plain.vocabulary
        assert found.sha256 == plain.sha256
        assert found.train.dtype == torch.int32


def test_a_text_by_characters(folder, monkeypatch):
    # "b a b / a c /": the blank three times, a, b and the end of a line twice, c once; d and e are unknown
    monkeypatch.setattr(files, "LARGE", 0)
    for _ in range(2):  # read, and found, beside what is kept of its words
        corpus_from_files("x", folder)
        found = characters(folder[0].parent)
        assert found.vocabulary == (" ", "<eos>", "a", "b", "c", "<unk>")
        assert found.train.tolist() == [3, 0, 2, 0, 3, 1, 2, 0, 4, 1]
        assert found.test.tolist() == [3, 0, 5, 1]
    reader = reader_of(Data(corpus="characters"), found.vocabulary)
    assert torch.equal(encode(reader.words(SPLITS["valid"]), found.vocabulary), found.valid)
    assert reader.between == ""
    with pytest.raises(CorpusError, match=r"'characters' needs data\.root"):
        characters(None)


def kept(monkeypatch):
    monkeypatch.setattr(files, "LARGE", 0)
    return files.cache_folder("tokens")


def test_a_large_text_is_read_once(folder, monkeypatch):
    cache = kept(monkeypatch)
    first = corpus_from_files("x", folder)
    assert len(list(cache.iterdir())) == 1
    monkeypatch.setattr(files, "_read", None)
    assert corpus_from_files("x", folder).sha256 == first.sha256


def test_another_text_or_limit_is_read_anew(folder, monkeypatch):
    cache = kept(monkeypatch)
    first = corpus_from_files("x", folder)
    assert corpus_from_files("x", folder, limit=4).sha256 != first.sha256
    written(folder[0], "a a b\na c\n")  # of the same length
    assert corpus_from_files("x", folder).sha256 != first.sha256
    assert len(list(cache.iterdir())) == 3


def test_nothing_written_to_a_corpus_reaches_the_next(folder, monkeypatch):
    kept(monkeypatch)
    first = corpus_from_files("x", folder)
    before = first.train.clone()
    first.train.zero_()
    assert corpus_from_files("x", folder).train.equal(before)


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, None], ids=["empty", "zeros", "one bit"])
def test_a_damaged_cache_costs_a_reading(folder, monkeypatch, damage):
    cache = kept(monkeypatch)
    whole = corpus_from_files("x", folder).sha256
    (path,) = cache.iterdir()
    content = path.read_bytes()
    path.write_bytes(content[:-4] + b"\1\0\0\0" if damage is None else damage)
    assert corpus_from_files("x", folder).sha256 == whole
    assert files._load("x", path) is not None  # mended


def test_a_cache_that_cannot_be_written_costs_nothing(folder, monkeypatch, tmp_path):
    kept(monkeypatch)
    monkeypatch.setenv("HYPERPRUNE_CACHE", str(written(tmp_path / "file", "in the way")))
    assert corpus_from_files("x", folder).train.numel() == 7


def test_a_text_that_changes_while_it_is_read_is_not_kept(folder, monkeypatch):
    cache = kept(monkeypatch)
    read = files._read

    def slowly(*given):
        corpus = read(*given)
        written(folder[0], "somebody writes\n")
        return corpus

    monkeypatch.setattr(files, "_read", slowly)
    assert corpus_from_files("x", folder).train.numel() == 7
    assert not cache.exists()
