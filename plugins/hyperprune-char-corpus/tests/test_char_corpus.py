import pytest
from hyperprune_char_corpus import characters

from hyperprune.errors import CorpusError
from hyperprune.testing import check, check_in_run, contributions


@pytest.mark.parametrize("item", contributions("hyperprune-char-corpus"), ids=str)
def test_contract(item):
    check(item)
    check_in_run(item)


def folder(path, train, valid="a", test="b"):
    for name, text in (("train", train), ("valid", valid), ("test", test)):
        (path / f"{name}.txt").write_text(text, encoding="utf-8")
    return path


def test_characters_by_frequency(tmp_path):
    corpus = characters(folder(tmp_path, "aab\na"))
    # a: 3, then <unk>, <eos>, b and the line break once or never, in code-point order
    assert corpus.vocabulary[0] == "a"
    assert "".join(corpus.vocabulary[i] for i in corpus.train.tolist()) == "aab\na"


def test_the_limit_keeps_the_most_frequent(tmp_path):
    corpus = characters(folder(tmp_path, "aaabbc"), limit=4)
    assert set(corpus.vocabulary) == {"a", "b", "<unk>", "<eos>"}
    assert corpus.vocabulary[corpus.train[-1]] == "<unk>"


def test_two_spellings_of_a_letter_are_one(tmp_path):
    one = characters(folder(tmp_path, "e\u0301e\u0301"))
    assert "\u00e9" in one.vocabulary
    assert "\u0301" in characters(tmp_path, normal_form="none").vocabulary


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(CorpusError, match=r"cannot read .*train\.txt"):
        characters(tmp_path)
    with pytest.raises(CorpusError, match=r"needs data\.root"):
        characters(None)
