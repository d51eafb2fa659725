"""Byte-pair pieces: the vocabulary drawn by hand, no text lost, the winner reads without its corpus."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hyperprune
from hyperprune.corpus.words import encode, reader_of
from hyperprune.errors import CorpusError
from hyperprune.export.text import score_text
from hyperprune.recipe.records import Data
from hyperprune.testing.tiny import tiny_run

pytest.importorskip("tokenizers")

from hyperprune.builtin.corpora.pieces import bpe, learned, merges_of, pieces_of

# Words with the blank before them: ab · ␣ab ×2 · ␣abc ×2. Pairs: ab 5, then ␣|ab 4, then ␣ab|c 2.
TRAIN = "ab ab ab abc abc"
PIECES = ("<unk>", "<eos>", " ", "a", "b", "c", "ab", " ab", " abc")


def folder(path: Path, train: str = TRAIN, valid: str = "ab\n\nabd", test: str = "c") -> Path:
    path.mkdir(exist_ok=True)
    for name, text in (("train", train), ("valid", valid), ("test", test)):
        (path / f"{name}.txt").write_text(text, encoding="utf-8")
    return path


def test_pieces_are_learned_by_frequency(tmp_path: Path) -> None:
    corpus = bpe(folder(tmp_path))
    assert corpus.vocabulary == PIECES
    assert [PIECES[i] for i in corpus.train] == ["ab", " ab", " ab", " abc", " abc", "<eos>"]
    assert [PIECES[i] for i in corpus.valid] == ["ab", "<eos>", "<eos>", "ab", "<unk>", "<eos>"]
    assert merges_of(PIECES) == [("a", "b"), (" ", "ab"), (" ab", "c")]
    assert bpe(tmp_path, vocabulary=7).vocabulary == PIECES[:7]
    with pytest.raises(CorpusError, match=r"found vocabulary 5; .* has 4 different characters"):
        bpe(tmp_path, vocabulary=5)


def test_the_vocabulary_is_the_tokenizer(tmp_path: Path) -> None:
    """What the library learned, it is given back from the list of pieces alone."""
    import tokenizers
    from tokenizers import models, trainers

    from hyperprune.builtin.corpora import pieces

    lines = [" ".join(f"{a}{b}{a}" for a in "kentu" for b in "aeiou"[:n]) for n in (5, 4, 3, 5)]
    whole = pieces._untrained(unk_token="<unk>")
    trainer = trainers.BpeTrainer(
        vocab_size=80, min_frequency=2, special_tokens=["<unk>", "<eos>"], show_progress=False
    )
    whole.train_from_iterator(lines, trainer)
    theirs = [tuple(pair) for pair in json.loads(whole.to_str())["model"]["merges"]]
    assert isinstance(whole.model, models.BPE)
    assert merges_of(learned(lines, 80)) == theirs
    assert len(theirs) > 20
    assert tokenizers.__version__


@given(st.text(st.sampled_from("abc d\n\tä.7"), max_size=40))
def test_no_text_is_lost(text: str) -> None:
    pieces = pieces_of(text, {}, PIECES)
    ended = text.removesuffix("\n") + "\n" if text else ""
    assert "".join(pieces).replace("<eos>", "\n") == ended


def test_another_process_learns_the_same() -> None:
    lines = [" ".join(f"{a}{b}{a}" for a in "kentu" for b in "aeiou") for _ in range(3)]
    code = f"""
from hyperprune.builtin.corpora.pieces import learned
print(learned({lines!r}, 60))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(learned(lines, 60))


def test_a_winner_reads_and_writes_without_its_text(tmp_path: Path) -> None:
    tiny_run(tmp_path, 'data.corpus="bpe"', "data.vocabulary=40")
    corpus = bpe(tmp_path / "text", vocabulary=40)
    reader = reader_of(Data(corpus="bpe"), corpus.vocabulary)
    valid = (tmp_path / "text" / "valid.txt").read_text()
    assert torch.equal(encode(reader.words(valid), corpus.vocabulary), corpus.valid)
    shutil.rmtree(tmp_path / "text")
    winner = hyperprune.load_winner(tmp_path / "run")
    assert winner.vocabulary == corpus.vocabulary
    score = winner.score(valid)
    nats = -math.fsum(score.log_probabilities)
    assert score.bits_per_byte == pytest.approx(nats / math.log(2) / len(valid), abs=1e-12)
    assert winner.score("w1 Ω").unknown == 1
    written = "".join(winner.generate("w1", words=30, seed=1))
    assert set(written.replace("<eos>", "")) <= set("".join(corpus.vocabulary))
    winner.export("compact", tmp_path / "net.hyp")
    assert hyperprune.load_exported(tmp_path / "net.hyp").score(valid) == score


def test_bits_per_byte_of_who_knows_nothing() -> None:
    """Of four words each is as likely: 2 bits a word, six bytes with the line's end, three words."""
    reader = reader_of(Data(corpus="pydoc"))
    uniform = torch.full((1, 1, 4), -math.log(4))

    def predict(tokens: torch.Tensor, state: object) -> tuple[torch.Tensor, tuple[()]]:
        return uniform.expand(len(tokens), 1, 4), ()

    score = score_text(predict, (), ("<unk>", "<eos>", "ab", "cd"), reader, "ab cd\n")
    assert (score.words, score.bytes) == (("ab", "cd", "<eos>"), 6)
    assert score.bits_per_byte == pytest.approx(1.0, abs=1e-6)


def test_what_is_wrong_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CorpusError, match=r"needs data\.root"):
        bpe(None)
    with pytest.raises(CorpusError, match=r"cannot read .*train\.txt"):
        bpe(tmp_path)
    with pytest.raises(CorpusError, match=r"train\.txt is empty"):
        bpe(folder(tmp_path, train=" \n"))
    (folder(tmp_path) / "valid.txt").write_bytes(b"\xff")
    with pytest.raises(CorpusError, match=r"valid\.txt is not UTF-8"):
        bpe(tmp_path)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(CorpusError, match=r"pip install 'hyperprune\[tokenizers\]'"):
        bpe(folder(tmp_path / "b"))
