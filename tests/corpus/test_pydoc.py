import sys

import pytest
import torch

from hyperprune.builtin.corpora.pydoc_topics import deal, paragraphs, pydoc, words_of
from hyperprune.corpus import unigram_perplexity
from hyperprune.errors import CorpusError


def test_paragraphs_are_lower_case_words_and_single_signs():
    text = 'The "while" statement\n*********************\n\nIt\'s  x+=1,\n   twice.\n\n-----\n'
    assert list(paragraphs(text)) == [
        ("the", '"', "while", '"', "statement", "<eos>"),
        ("it", "'", "s", "x", "+", "=", "1", ",", "twice", ".", "<eos>"),
    ]


def test_a_text_with_unknown_words_marked_is_read_as_the_corpus_has_them():
    assert words_of("Objects <unk> change.\n", {}) == ["objects", "<unk>", "change", ".", "<eos>"]
    assert words_of("a < unk", {}) == ["a", "<", "unk", "<eos>"]


def test_no_paragraph_is_kept_twice():
    topics = {name: f"only in {name}\n\nshared by all of them" for name in "abcdefghijkl"}
    words = [word for part in deal(topics) for word in part]
    assert words.count("shared") == 1
    assert words.count("only") == len(topics)


def test_topics_stay_whole_and_held_out_parts_are_small():
    topics = {f"t{i}": " ".join([f"w{i}"] * (i + 1)) for i in range(40)}
    parts = deal(topics)
    vocabularies = [set(part) - {"<eos>"} for part in parts]
    assert not vocabularies[0] & vocabularies[1]
    assert not vocabularies[0] & vocabularies[2]
    assert not vocabularies[1] & vocabularies[2]
    total = sum(map(len, parts))
    assert all(0.05 * total < len(part) <= 0.1 * total for part in parts[1:])


def test_the_order_of_the_topics_does_not_matter():
    topics = {f"t{i}": f"text number {i}\n\ncommon" for i in range(20)}
    assert deal(topics) == deal(dict(reversed(topics.items())))


def test_the_shipped_corpus_is_the_same_every_time():
    first, second = pydoc(None), pydoc(None)
    assert first.sha256 == second.sha256
    assert len(first.vocabulary) == 2000
    assert 30_000 < first.train.numel() < 300_000
    for part in (first.valid, first.test):
        assert 0.05 < part.numel() / first.train.numel() < 0.15
        unknown = first.vocabulary.index("<unk>")
        assert (part == unknown).double().mean() < 0.1


def test_the_vocabulary_limit_changes_the_words_not_the_text():
    small, large = pydoc(None, vocabulary=500), pydoc(None, vocabulary=1500)
    assert small.train.numel() == large.train.numel()
    assert unigram_perplexity(small) < unigram_perplexity(large)
    assert int(small.train.max()) == 499


def test_a_word_predicts_the_next():
    """A bigram already beats the unigram clearly, so there is something for a network to learn."""
    corpus = pydoc(None, vocabulary=1000)
    size = len(corpus.vocabulary)
    pairs = torch.zeros(size, size, dtype=torch.float64)
    pairs.index_put_(
        (corpus.train[:-1], corpus.train[1:]), torch.tensor(1.0, dtype=torch.float64), True
    )
    unigram = torch.bincount(corpus.train, minlength=size).double() + 1
    unigram /= unigram.sum()
    smoothed = (pairs + 5 * unigram) / (pairs.sum(1, keepdim=True) + 5)
    nll = -smoothed[corpus.valid[:-1], corpus.valid[1:]].log().mean()
    assert float(nll.exp()) < 0.5 * unigram_perplexity(corpus)


def test_a_python_without_topics_is_told_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "pydoc_data.topics", None)
    with pytest.raises(CorpusError, match=r"without its help topics .*choose another corpus"):
        pydoc(None)
