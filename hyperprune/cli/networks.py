"""Commands that use a trained network: score a text, write one, export and measure it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperprune.cli.output import Plugin, check_target, show, show_json
from hyperprune.errors import RunError
from hyperprune.ui.text import safe

if TYPE_CHECKING:
    from hyperprune.export import Score, SequencesScore, TrainedNetwork

Source = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, or an exported file.")]
Which = Annotated[
    str | None,
    typer.Option("--candidate", "-c", metavar="NAME", help="A candidate, or dense; the winner."),
]
LINE_ENDS = ("<eos>", "\n")


def score(
    run: Source,
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A text, UTF-8, - is stdin; or sequences, .npz, .safetensors or .csv.",
        ),
    ],
    candidate: Which = None,
    plugin: Plugin = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print every word's log-probability, or every answer, as JSON."
        ),
    ] = False,
) -> None:
    """Print how well a run's winner predicts a text, or answers to sequences."""
    from hyperprune.export.exported import open_network
    from hyperprune.ui.tables import facts

    network = open_network(run, candidate, plugins=plugin or ())
    if network.about.reads is not None:
        if file == "-":
            raise RunError(
                "this network reads sequences of numbers; name a file, since stdin is for texts"
            )
        answered: SequencesScore = network.score(Path(file))  # type: ignore[assignment]
        if as_json:
            show_json(_answers_as_json(answered, network.about.reads.labels))
            return
        metric = answered.metric
        told = {
            metric.words: metric.text(answered.value),
            answered.unit: f"{answered.loss:.4f}",
            "sequences": f"{len(answered.answers):,}",
        }
        show(facts([*told.items()]))
        return
    found = network.score(_read(file))
    if as_json:
        show_json(_as_json(found))
        return
    words = f"{len(found.words):,}, of which {found.unknown:,} are not in the vocabulary"
    rows = {
        "perplexity": f"{found.perplexity:.4f} per word",
        "nats per word": f"{found.loss:.4f}",
        "bits per byte": f"{found.bits_per_byte:.4f}",
    }
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
    plugin: Plugin = None,
) -> None:
    """Write words with a run's winner, one at a time."""
    from hyperprune.export.exported import open_network

    network = open_network(run, candidate, plugins=plugin or ())
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


def export(
    run: Source,
    format: Annotated[  # noqa: A002
        str | None,
        typer.Option(
            "--format", "-f", metavar="FORMAT", help="safetensors, compact, onnx, torch or c."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A file, or a folder for c."),
    ] = None,
    dtype: Annotated[
        str,
        typer.Option(
            "--dtype",
            help="compact: float32, float16, bfloat16, int8; c: float32, int8.",
        ),
    ] = "float32",
    form: Annotated[
        str | None, typer.Option("--form", help="Of onnx and torch: step or sequence.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Quantise onnx dynamically.")] = False,
    matrices: Annotated[
        str, typer.Option("--matrices", help="Of c: smallest, dense, csr, 8x4 or 4x1.")
    ] = "smallest",
    shrink: Annotated[
        bool, typer.Option("--shrink", help="Cut out units that no output depends on.")
    ] = False,
    measured: Annotated[
        bool, typer.Option("--measure", help="Print what every form costs on this machine.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files.")] = False,
    candidate: Which = None,
    plugin: Plugin = None,
) -> None:
    """Write a run's winner as a file for elsewhere, with a card beside it."""
    from hyperprune.export.exported import trained_network
    from hyperprune.plan.disk import show_bytes

    if format is None and not measured:
        raise RunError("say what to do: --format FORMAT --out FILE, or --measure")
    if format is not None and out is None:
        raise RunError("say where the file goes: --out FILE")
    if out is not None and format != "c":  # C goes into a folder that is new or empty
        check_target(out, force=force)
        check_target(out.with_name(f"{out.name}.md"), force=force)  # the card
    network = trained_network(run, candidate, plugins=plugin or ())
    if shrink:
        network = _shrunk(network)
    if format is not None and out is not None:
        written = network.export(format, out, dtype=dtype, form=form, int8=int8, matrices=matrices)
        typer.echo(f"{written.path} ({show_bytes(written.size)}), {written.card}")
    if measured:
        _measure(run, network, winner=candidate is None and not shrink)


def _shrunk(network: TrainedNetwork) -> TrainedNetwork:
    """The network without dead units, having said how many there were."""
    from hyperprune.export.card import cut_units

    found = network.shrunk()
    typer.echo(cut_units(found) if found.about.cut else "every unit is felt: none is cut out")
    return found


def _measure(run: Path, network: TrainedNetwork, *, winner: bool) -> None:
    from hyperprune.export.load import load_dense
    from hyperprune.export.measure import keep, measure
    from hyperprune.ui.networks import measure_table

    rows = measure(network, load_dense(run) if run.is_dir() else None)
    show(measure_table(rows))
    if run.is_dir() and winner:
        keep(run, rows)


def _read(file: str) -> str:
    """A text from a file or stdin; raises CorpusError."""
    from hyperprune.corpus.text import decoded, read_text

    if file == "-":
        return "".join(decoded(sys.stdin.buffer, "stdin")).replace("\r\n", "\n")
    return read_text(Path(file))


def _as_json(found: Score) -> dict[str, object]:
    return {
        "perplexity": found.perplexity,
        "loss": found.loss,
        "bits_per_byte": found.bits_per_byte,
        "unknown": found.unknown,
        "tokens": [
            {"word": word, "log_probability": value}
            for word, value in zip(found.words, found.log_probabilities, strict=True)
        ],
    }


def _answers_as_json(found: SequencesScore, labels: Sequence[str]) -> dict[str, object]:
    return {
        "metric": found.metric.name,
        found.metric.name: found.value,
        "loss": found.loss,
        "unit": found.unit,
        "labels": list(labels),
        "sequences": [
            {"outputs": answer.outputs.tolist(), "loss": answer.loss, "cost": answer.cost}
            for answer in found.answers
        ],
    }
