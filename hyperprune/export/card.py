"""The model card: what a file holds, how it came about, how good it is, how to load it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hyperprune import __version__
from hyperprune.export.about import About
from hyperprune.export.network import TrainedNetwork
from hyperprune.export.step import carries
from hyperprune.plan.disk import show_bytes
from hyperprune.recipe import dumps
from hyperprune.terms.sheet import cell
from hyperprune.training.outcome import is_int8

LOADING: Mapping[str, str] = {
    "safetensors": """```python
import hyperprune
network = hyperprune.load_exported("{name}")          # or, for the weights alone:
weights = safetensors.torch.load_file("{name}")
```""",
    "compact": """```python
import hyperprune
network = hyperprune.load_exported("{name}")
```
Without hyperprune: the forty lines of NumPy in its page "Exporting".""",
    "onnx": """```python
session = onnxruntime.InferenceSession("{name}")
```
{form}""",
    "torch": """```python
run = torch.export.load("{name}").module()           # inside torch.no_grad():
{call}
```
{form}
`extra_files={{"hyperprune.json": ""}}` reads the recipe, and the vocabulary or the scaling.""",
}

ALL = "    # all of the state, zeros at first"


def card(
    network: TrainedNetwork,
    name: str,
    format: str,  # noqa: A002
    values: str,
    form: str,
    size: int,
) -> str:
    """The card of a file as Markdown."""
    about = network.about
    state = network.initial_state(1) if carries(network) else ()
    states = [f"state_{n} (B, {part.shape[1]})" for n, part in enumerate(state)]
    loading = LOADING[format].format(
        name=name, form=_form(about, form, states), call=_call(about, states)
    )
    share = 1 - about.active / about.masked if about.masked else 0.0
    words = about.metric.words
    rows = {
        "candidate": about.candidate,
        "model": about.recipe.model.name,
        **_reads(about),
        "weights": f"{about.total:,}",
        **({"cut out": cut_units(network)} if about.cut else {}),
        "masked": f"{about.masked:,}, of which {about.active:,} are active (sparsity {share:.4f})",
        f"validation {words}": _against(about, about.valid_value, about.dense_valid_value),
        f"test {words}": _against(about, about.test_value, about.dense_test_value),
        "values": values,
        "file": f"{show_bytes(size)}; dense float32 is {show_bytes(4 * about.total)}",
        "made by": ", ".join(f"{m.name} of {m.package} {m.version}" for m in about.makers.values()),
    }
    recipe = dumps(about.travelling)
    table = "\n".join(f"| {key} | {cell(value)} |" for key, value in rows.items())
    what = "language model" if about.language else f"network of task {about.recipe.task.name}"
    many = about.metric.many[:1].upper() + about.metric.many[1:]
    return f"""# {cell(about.recipe.title or "untitled")}: {cell(about.candidate)}

A recurrent {what} pruned by hyperprune {__version__}, as `{name}` ({format}).

| | |
|---|---|
{table}

{many} are of the weights {_whose(about)}.

## Loading

{loading}

State: {", ".join(states) or "none, every sequence begins anew"}.

## Controls

{_controls(about.configuration)}

## Recipe

```toml
{recipe.rstrip()}
```
"""


def _whose(about: About) -> str:
    """Of which weights values are."""
    if is_int8(about.candidate):
        return "as int8 holds them, which they were trained on as"
    return "as they were trained, in float32, before any rounding of this file"


def cut_units(network: TrainedNetwork) -> str:
    """Units that were cut out, as "layer 0: 700 of 1,500"."""
    left = {name: units.size for name, units in network.model.units().items()}  # type: ignore[operator]
    return "dead units: " + ", ".join(
        f"{count:,} of {count + left[name]:,} of {name}"
        for name, count in network.about.cut.items()
    )


def _reads(about: About) -> dict[str, str]:
    """What is read and what is answered."""
    reads = about.reads
    if reads is None:
        return {"vocabulary": f"{len(about.vocabulary):,} words"}
    when = "at every step" if reads.a_step else "after the last step of a sequence"
    scaled = "as they are" if reads.mean is None else "less their means, divided by their scales"
    labels = f": {', '.join(reads.labels)}" if reads.labels else ""
    return {
        "task": about.recipe.task.name,
        "reads": f"{reads.inputs} features a step, {scaled}",
        "answers": f"{reads.outputs} numbers {when}{labels}",
    }


def _form(about: About, form: str, states: Sequence[str]) -> str:
    """What a program takes and gives."""
    places = {"step": "(B{})", "sequence": "(T, B{})"}[form]
    if about.language:
        tokens = {"step": "(B,)", "sequence": "(T, B)"}[form]
        given, made = f"tokens {tokens} int64", f"log_probabilities {places.format(', V')}"
    else:
        given, made = f"inputs {places.format(', F')}", f"outputs {places.format(', O')}"
    if not states and about.reads is not None and about.reads.steps is not None:
        given += f" with T = {about.reads.steps}"
    after = [f"next_state_{n}" for n in range(len(states))]
    return f"Inputs: {', '.join([given, *states])}. Outputs: {', '.join([made, *after])}."


def _call(about: About, states: Sequence[str]) -> str:
    if about.language:
        return f"log_probabilities, state = run(tokens, (state_0, state_1)){ALL}"
    return (
        f"outputs, state = run(inputs, (state_0, state_1)){ALL}"
        if states
        else "outputs = run(inputs)"
    )


def _against(about: About, value: float | None, dense: float | None) -> str:
    said = "not read" if value is None else about.metric.text(value)
    return said if dense is None else f"{said} (dense {about.metric.text(dense)})"


def _controls(configuration: Mapping[str, Any]) -> str:
    lines = [f"- {key}: {cell(value)}" for key, value in configuration.items()]
    return "\n".join(lines) or "The recipe's own; nothing was searched for."
