import io
import json
import sys

import pytest


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the a sees c now\n")
    return path


def test_score_prints_a_perplexity(hyperprune, finished, text):
    result = hyperprune("score", finished, text)
    assert (result.code, result.err) == (0, "")
    assert "perplexity" in result.out


def test_score_reads_stdin_and_prints_json(hyperprune, finished, monkeypatch):
    stdin = io.TextIOWrapper(io.BytesIO(b"the a sees c now\n"))
    monkeypatch.setattr(sys, "stdin", stdin)
    said = json.loads(hyperprune("score", finished, "-", "--json").out)
    assert [item["word"] for item in said["tokens"]] == ["the", "a", "sees", "c", "now", "<eos>"]


def test_generate_writes_the_same_words_for_the_same_seed(hyperprune, finished):
    words = ("generate", finished, "--prompt", "the a", "--words", 12, "--seed", 4)
    first, again = hyperprune(*words), hyperprune(*words)
    assert first.code == 0
    assert first.out == again.out
    assert first.out.startswith("the a")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("score", "nowhere", "{text}"), "no run folder nowhere"),
        (("score", "{run}", "nowhere.txt"), "cannot read nowhere.txt"),
        (("score", "{run}", "{binary}"), "is not UTF-8 text"),
        (("score", "{run}", "{text}", "-c", "c009"), "no candidate 'c009'"),
        (("generate", "nowhere"), "no run folder nowhere"),
    ],
)
def test_bad_input_is_named(hyperprune, finished, text, tmp_path, words, said):
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    filled = [word.format(run=finished, text=text, binary=binary) for word in words]
    result = hyperprune(*filled)
    assert result.code == 2
    assert said in result.err
    assert "Traceback" not in result.err
