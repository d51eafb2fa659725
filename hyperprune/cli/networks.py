"""Commands that use a trained network: score a text, write one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperprune.cli.output import show, show_json
from hyperprune.errors import CorpusError
from hyperprune.ui.text import safe

if TYPE_CHECKING:
    from hyperprune.export import Score

Source = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
Which = Annotated[
    str | None,
    typer.Option("--candidate", "-c", metavar="NAME", help="A candidate, or dense; the winner."),
]
LINE_ENDS = ("<eos>", "\n")


def score(
    run: Source,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A text, UTF-8; - is stdin.")],
    candidate: Which = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print every word's log-probability as JSON.")
    ] = False,
) -> None:
    """Print how well a run's winner predicts a text."""
    text = _read(file)
    from hyperprune.export.load import open_network

    found = open_network(run, candidate).score(text)
    if as_json:
        show_json(_as_json(found))
        return
    from hyperprune.ui.tables import facts

    words = f"{len(found.words):,}, of which {found.unknown:,} are not in the vocabulary"
    rows = {"perplexity": f"{found.perplexity:.4f}", "nats per word": f"{found.loss:.4f}"}
    show(facts([*rows.items(), ("words", words)]))


def generate(
    run: Source,
    prompt: Annotated[str, typer.Option("--prompt", "-p", help="Words to go on from.")] = "",
    words: Annotated[int, typer.Option("--words", "-n", min=1, help="How many to write.")] = 100,
    temperature: Annotated[
        float, typer.Option("--temperature", "-t", min=0, help="0 takes the likeliest word.")
    ] = 1.0,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw.")] = 0,
    candidate: Which = None,
) -> None:
    """Write words with a run's winner, one at a time."""
    from hyperprune.export.load import open_network

    network = open_network(run, candidate)
    between = network.reader.between
    fresh = not prompt
    if prompt:
        sys.stdout.write(" ".join(safe(line) for line in prompt.splitlines()))
    drawn = network.generate(prompt, words=words, temperature=temperature, seed=seed)
    for word in drawn:
        end = word in LINE_ENDS
        sys.stdout.write("\n" if end else ("" if fresh else between) + safe(word))
        sys.stdout.flush()
        fresh = end
    sys.stdout.write("\n")


def _read(file: str) -> str:
    """A text from a file or stdin; raises CorpusError."""
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8")
    except OSError as error:
        raise CorpusError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CorpusError(
            f"{file} is not UTF-8 text: {error.reason} at byte {error.start}"
        ) from error


def _as_json(found: Score) -> dict[str, object]:
    return {
        "perplexity": found.perplexity,
        "loss": found.loss,
        "unknown": found.unknown,
        "tokens": [
            {"word": word, "log_probability": value}
            for word, value in zip(found.words, found.log_probabilities, strict=True)
        ],
    }
