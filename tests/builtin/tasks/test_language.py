"""Language modelling as a task: segments of a text with the state carried on."""

from __future__ import annotations

import pytest
import torch

from hyperprune.builtin.tasks.language import LanguageModelling
from hyperprune.corpus import Corpus, unigram_perplexity
from hyperprune.errors import CorpusError
from hyperprune.task import PERPLEXITY, Cut

#  train: 0 1 2 3 4 5 6 7 8 9, two streams    0 1 2 3 4     the last step of a stream has no target
#                                             5 6 7 8 9
TEXT = torch.arange(10)
TASK = LanguageModelling(Corpus("ten", tuple("abcdefghij"), TEXT, TEXT[:6], TEXT[:4]))


def test_an_epoch_is_the_text_once_in_segments_that_go_on():
    batches = list(TASK.epoch(Cut(batch=2, bptt=3), seed=1))
    assert [batch.inputs.t().tolist() for batch in batches] == [[[0, 1, 2], [5, 6, 7]], [[3], [8]]]
    assert [batch.targets.t().tolist() for batch in batches] == [[[1, 2, 3], [6, 7, 8]], [[4], [9]]]
    assert [batch.begins for batch in batches] == [True, False]
    assert [batch.weight for batch in batches] == [3, 1]
    assert batches[0].scored == (3, 3)


def test_rows_are_some_of_the_sequences():
    (first, *_) = TASK.epoch(Cut(batch=2, bptt=3), seed=1)
    part = first.rows(slice(1, 2))
    assert part.inputs.t().tolist() == [[5, 6, 7]]
    assert part.targets.t().tolist() == [[6, 7, 8]]
    assert part.scored == (3,)


def test_spectra_are_driven_by_the_start_of_each_stream():
    assert TASK.driving(sequences=2, steps=2).t().tolist() == [[0, 1], [3, 4]]
    with pytest.raises(CorpusError, match="6 tokens; a spectrum of 2 sequences × 4 steps"):
        TASK.driving(sequences=2, steps=4)


def test_a_split_too_short_for_its_batch_is_named():
    with pytest.raises(CorpusError, match=r"train\.eval_batch: the validation text of ten has 6"):
        TASK.check(Cut(batch=4, bptt=3), "valid", "train.eval_batch")


def test_its_metric_is_perplexity_and_what_must_be_beaten_the_unigram():
    assert TASK.metric == PERPLEXITY
    assert TASK.unigram() == unigram_perplexity(TASK.corpus)
    assert PERPLEXITY.value(0.0) == 1.0
    assert PERPLEXITY.text(PERPLEXITY.value(2.0)) == "7.39"
    assert PERPLEXITY.meets(7.0, 7.39)
    assert not PERPLEXITY.meets(7.4, 7.39)
