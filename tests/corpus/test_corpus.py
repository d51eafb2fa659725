import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hyperprune.corpus import batchify, corpus_from_words, unigram_perplexity
from hyperprune.errors import CorpusError

WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "<unk>", "<eos>"]), min_size=1, max_size=40)


def words(text):
    return text.split(" ")


def test_words_are_numbered_by_frequency_then_code_point():
    corpus = corpus_from_words("tiny", words("b a b <eos> a c"), ["c"], ["d"])
    assert corpus.vocabulary == ("a", "b", "<eos>", "c", "d")
    assert corpus.train.tolist() == [1, 0, 1, 2, 0, 3]
    assert corpus.valid.tolist() == [3]
    assert corpus.test.tolist() == [4]


def test_words_beyond_the_limit_are_unknown():
    # training says a 3 ×, b 2 ×, c and d once: a limit of 4 leaves <unk>, <eos>, a, b
    train = words("a b a c <eos> a b d")
    corpus = corpus_from_words("tiny", train, ["c"], ["e", "a"], limit=4)
    assert corpus.vocabulary == ("a", "<unk>", "b", "<eos>")
    assert corpus.train.tolist() == [0, 2, 0, 1, 3, 0, 2, 1]
    assert corpus.valid.tolist() == [1]
    assert corpus.test.tolist() == [1, 0]


def test_an_empty_split_is_an_error():
    with pytest.raises(CorpusError, match="validation text of tiny has no words"):
        corpus_from_words("tiny", ["a"], [], ["a"])


def test_unigram_perplexity_of_counted_words():
    # add-one frequencies: a 3/5, b 2/5; validation a b b
    corpus = corpus_from_words("tiny", words("a a b"), words("a b b"), ["a"])
    expected = math.exp(-(math.log(3 / 5) + 2 * math.log(2 / 5)) / 3)
    assert unigram_perplexity(corpus) == pytest.approx(expected, rel=1e-12)


def test_batchify_makes_parallel_streams():
    # 7 tokens in 2 streams: 0 1 2 | 3 4 5, the last one is dropped
    assert batchify(torch.arange(7), 2).tolist() == [[0, 3], [1, 4], [2, 5]]


@given(WORDS, WORDS, WORDS, st.integers(3, 9))
def test_ids_spell_the_words_again(train, valid, test, limit):
    full = corpus_from_words("any", train, valid, test)
    cut = corpus_from_words("any", train, valid, test, limit=limit)
    for split, text in (("train", train), ("valid", valid), ("test", test)):
        assert [full.vocabulary[i] for i in getattr(full, split)] == text
        spelt = [cut.vocabulary[i] for i in getattr(cut, split)]
        assert all(new in (old, "<unk>") for new, old in zip(spelt, text, strict=True))
    assert len(cut.vocabulary) <= limit
    assert {"<unk>", "<eos>"} <= set(cut.vocabulary)


@given(WORDS, WORDS)
def test_the_hash_tells_texts_apart(one, other):
    first = corpus_from_words("any", one, ["a"], ["b"])
    second = corpus_from_words("any", other, ["a"], ["b"])
    assert (first.sha256 == second.sha256) == (one == other)
