import itertools
import json
import math
import shutil

import pytest
import torch

import hyperprune
from hyperprune.corpus.load import _load_corpus
from hyperprune.corpus.words import encode, reader_of, words_by_blanks
from hyperprune.errors import CorpusError, PluginError, RunError
from hyperprune.export.about import Maker
from hyperprune.export.load import assemble
from hyperprune.recipe.records import Data

TEXT = "w0 w1 w4\nw3 w10 nonsense w7\n"


def test_the_winner_loads_without_its_text(finished):
    winner, result = hyperprune.load_winner(finished), hyperprune.load_run(finished)
    assert winner.about.candidate == result.winner
    assert not winner.model.training
    assert winner.valid_perplexity == result.best.valid_perplexity
    assert winner.test_perplexity == result.test_perplexity
    assert winner.dense_perplexity == result.dense_perplexity
    assert winner.settings == result.best.configuration
    assert len(winner.vocabulary) == 14  # twelve words, <unk>, <eos>
    assert (winner.about.active, winner.about.masked) == (result.active, result.masked)
    for name, mask in winner.masks.items():
        assert not winner.model.get_parameter(name)[~mask].any()


def test_candidates_and_the_dense_reference_load(finished):
    result = hyperprune.load_run(finished)
    again = hyperprune.load_candidate(finished, result.winner)
    winner = hyperprune.load_winner(finished)
    for own, other in zip(again.model.parameters(), winner.model.parameters(), strict=True):
        assert torch.equal(own, other)
    dense = hyperprune.load_dense(finished)
    assert (dense.masks, dense.about.active) == ({}, 0)
    assert dense.test_perplexity == result.dense_test_perplexity
    eliminated = next(item.name for item in result.candidates if item.state == "eliminated")
    with pytest.raises(RunError, match=r"final\.keep"):
        hyperprune.load_candidate(finished, eliminated)
    with pytest.raises(RunError, match="did you mean 'c000'"):
        hyperprune.load_candidate(finished, "c0000")


def test_a_score_is_the_sum_of_steps(finished):
    winner = hyperprune.load_winner(finished)
    score = winner.score(TEXT)
    words = ["w0", "w1", "w4", "<eos>", "w3", "w10", "nonsense", "w7", "<eos>"]
    assert list(score.words) == words
    assert score.unknown == 1
    ids = encode(["<eos>", *words], winner.vocabulary)
    assert ids[7] == winner.vocabulary.index("<unk>")
    state, wanted = winner.model.initial_state(1), []
    with torch.no_grad():
        for now, following in itertools.pairwise(ids):
            logits, state = winner.model(now.view(1, 1), state)
            wanted.append(float(logits[0, 0].log_softmax(0)[following]))
    assert score.log_probabilities == pytest.approx(wanted, abs=1e-5)
    assert score.perplexity == pytest.approx(math.exp(-sum(wanted) / 9))


def test_a_long_text_is_scored_in_segments_of_one_sequence(finished, monkeypatch):
    winner = hyperprune.load_winner(finished)
    whole = winner.score(TEXT * 20)
    monkeypatch.setattr("hyperprune.export.text.SEGMENT", 7)
    assert winner.score(TEXT * 20).log_probabilities == pytest.approx(
        whole.log_probabilities, abs=1e-5
    )


def test_nothing_to_score_is_said(finished):
    with pytest.raises(CorpusError, match="no words"):
        hyperprune.load_winner(finished).score("")


def test_words_without_a_place_in_the_vocabulary():
    with pytest.raises(CorpusError, match="'z', which is not in the vocabulary of 2 words"):
        encode(["a", "z"], ("a", "b"))
    assert encode(["a", "z"], ("a", "<unk>")).tolist() == [0, 1]


def test_generating_follows_its_seed(finished):
    winner = hyperprune.load_winner(finished)
    one, again, other = (list(winner.generate("w0", words=30, seed=s)) for s in (1, 1, 2))
    assert one == again != other
    assert len(one) == 30
    assert "<unk>" not in one
    greedy = list(winner.generate("w0", words=5, temperature=0))
    state, word = winner.model.initial_state(1), None
    ids = encode(["<eos>", "w0"], winner.vocabulary)
    with torch.no_grad():
        for now in ids:
            logits, state = winner.model(now.view(1, 1), state)
        for word in greedy:
            scores = logits[0, 0].clone()
            scores[winner.vocabulary.index("<unk>")] = -math.inf
            assert word == winner.vocabulary[int(scores.argmax())]
            logits, state = winner.model(encode([word], winner.vocabulary).view(1, 1), state)


def test_the_prompt_is_gone_on_with_unless_its_line_has_ended(finished):
    reader = hyperprune.load_winner(finished).reader
    assert reader.words("a b") == reader.words("a b\n") == ["a", "b", "<eos>"]
    winner = hyperprune.load_winner(finished)
    ended, open_ = (next(winner.generate(p, words=1, temperature=0)) for p in ("w1\n", "w1"))
    assert ended != open_ or winner.score("w1\n").perplexity > 0


def test_readers_read_as_their_corpora_do():
    assert words_by_blanks("a  b\n\nc", {}) == ["a", "b", "<eos>", "<eos>", "c", "<eos>"]
    assert words_by_blanks("", {}) == []
    pydoc = reader_of(Data(corpus="pydoc"))
    assert pydoc.words("A class, it is.\n\nNext") == [
        "a", "class", ",", "it", "is", ".", "<eos>", "next", "<eos>",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[]", "empty"),
        ('["a", "a"]', "twice"),
        ("{}", "no list"),
        ("[1]", "no list"),
        ("x", "JSON"),
    ],
)
def test_a_damaged_vocabulary_is_named(finished, tmp_path, content, said):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "vocabulary.json").write_text(content)
    with pytest.raises(RunError, match=said):
        hyperprune.load_winner(run)


def test_a_run_without_vocabulary_needs_its_text(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "vocabulary.json").unlink()
    _load_corpus.cache_clear()
    with pytest.raises(RunError, match=r"no vocabulary\.json"):
        hyperprune.load_winner(run)


def test_weights_of_another_network_are_refused(finished):
    dense = hyperprune.load_dense(finished)
    weights = {name: p.detach().clone() for name, p in dense.model.named_parameters()}
    name = next(iter(weights))
    with pytest.raises(RunError, match=f"{name} is nothing, expected"):
        assemble(dense.about, {k: v for k, v in weights.items() if k != name}, {}, "file")
    with pytest.raises(RunError, match=r"extra is \(3,\), expected nothing"):
        assemble(dense.about, {**weights, "extra": torch.zeros(3)}, {}, "file")
    with pytest.raises(RunError, match="not 0 where its mask says so"):
        assemble(dense.about, weights, {name: torch.zeros_like(weights[name]).bool()}, "file")


def test_a_missing_plugin_is_named_with_its_package(finished):
    dense = hyperprune.load_dense(finished)
    maker = Maker(name="mgu", package="hyperprune-mgu", version="0.1")
    about = dense.about.model_copy(update={"makers": {"model": maker}})
    with pytest.raises(PluginError, match="pip install hyperprune-mgu"):
        assemble(about, {}, {}, "file")


def test_what_a_run_keeps_is_plain(finished):
    assert json.loads((finished / "vocabulary.json").read_text())[0].startswith("w")
    said = json.loads((finished / "winner" / "settings.json").read_text())
    assert said["made_by"].keys() == {"model", "corpus"}
