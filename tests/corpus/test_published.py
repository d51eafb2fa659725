import os
from dataclasses import replace
from pathlib import Path

import pytest

from hyperprune.builtin.corpora import published
from hyperprune.builtin.corpora.download import Remote
from hyperprune.builtin.corpora.published import PTB, WIKITEXT2, Edition, load, ptb, wikitext2
from hyperprune.errors import CorpusError

TEXTS = ("a b\nb\n", "a\n", "b a\n")
NOWHERE = Remote(("http://127.0.0.1:9/tiny",), "0" * 32, 100, ("t.txt", "v.txt", "e.txt"), True)
TINY = Edition("tiny", "tiny", ("t.txt", "v.txt", "e.txt"), (5, 2, 3), 3, (NOWHERE,))


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch, request):
    monkeypatch.setattr(published, "cache", lambda: tmp_path / "cache")
    monkeypatch.setenv("no_proxy", "*")
    if request.node.get_closest_marker("corpus") is None:
        monkeypatch.delenv(published.DATA, raising=False)


def fill(folder, texts=TEXTS):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in zip(TINY.files, texts, strict=True):
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize("below", ["", "tiny"])
def test_found_under_root_in_its_folder_or_flat(tmp_path, below):
    fill(tmp_path / "root" / below)
    corpus = load(TINY, tmp_path / "root")
    assert corpus.name == "tiny"
    assert set(corpus.vocabulary) == {"a", "b", "<eos>"}


def test_root_goes_before_the_environment_before_the_cache(tmp_path, monkeypatch):
    places = [fill(tmp_path / "root"), fill(tmp_path / "data"), fill(tmp_path / "cache" / "tiny")]
    monkeypatch.setenv(published.DATA, str(tmp_path / "data"))
    for place in places:
        assert published.find(TINY, tmp_path / "root") == place
        for name in TINY.files:
            (place / name).unlink()
    assert published.find(TINY, tmp_path / "root") is None


def test_a_root_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match=r"data\.root: .*nowhere is not a folder"):
        load(TINY, tmp_path / "nowhere")


def test_an_incomplete_folder_names_what_is_missing(tmp_path):
    (fill(tmp_path / "tiny") / "v.txt").unlink()
    with pytest.raises(CorpusError, match=r"tiny in .*tiny is incomplete: no v\.txt"):
        load(TINY, tmp_path)


def test_another_edition_is_not_taken_for_it(tmp_path):
    fill(tmp_path, ("a b\n", "a\n", "b a\n"))
    with pytest.raises(CorpusError, match=r"found 3 / 2 / 3 tokens, 3 types; expected 5 / 2 / 3"):
        load(TINY, tmp_path)


def test_the_most_frequent_words_of_it(tmp_path):
    fill(tmp_path, ("a a b\nc\n", "a\n", "b a\n"))  # four types: a, b, c, <eos>
    four = replace(TINY, tokens=(6, 2, 3), types=4)
    little = load(four, tmp_path, 3)
    assert set(little.vocabulary) == {"a", "<eos>", "<unk>"}
    assert little.train.numel() == 6
    with pytest.raises(
        CorpusError, match="found 6 / 2 / 3 tokens, 4 types; expected 6 / 2 / 3 tokens, 3"
    ):
        load(replace(four, types=3), tmp_path)  # more words than it has are not cut off


def test_what_cannot_be_had_is_explained(tmp_path):
    (tmp_path / "root").mkdir()
    with pytest.raises(CorpusError) as caught:
        load(TINY, tmp_path / "root")
    message = str(caught.value)
    assert "127.0.0.1:9/tiny: no connection" in message
    assert f"  {tmp_path / 'root' / 'tiny'}\n" in message
    assert f"  {tmp_path / 'cache' / 'tiny'}\n" in message
    assert "t.txt, v.txt, e.txt" in message
    assert "md5 " + "0" * 32 in message


def test_a_download_lands_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "download", lambda remote, folder: fill(folder))
    assert load(replace(TINY), None).train.numel() == 5
    assert published.find(TINY, None) == tmp_path / "cache" / "tiny"


@pytest.mark.corpus
@pytest.mark.parametrize(("name", "edition"), [(ptb, PTB), (wikitext2, WIKITEXT2)])
def test_real_corpora_have_the_published_counts(name, edition):
    root = os.environ.get("HYPERPRUNE_DATA") or pytest.skip("HYPERPRUNE_DATA is not set")
    corpus = name(Path(root))
    found = tuple(split.numel() for split in (corpus.train, corpus.valid, corpus.test))
    assert found == edition.tokens
    assert len(corpus.vocabulary) == edition.types
    assert {"<unk>", "<eos>"} < set(corpus.vocabulary)
