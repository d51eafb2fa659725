"""The model card: what a file holds, how it came about, how good it is, how to load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperprune import __version__
from hyperprune.export.network import TrainedNetwork
from hyperprune.plan.disk import show_bytes
from hyperprune.recipe import dumps

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
log_probabilities, state = run(tokens, (state_0, state_1))    # all of the state, zeros at first
```
{form}
`extra_files={{"hyperprune.json": ""}}` reads the vocabulary and the recipe.""",
}
FORM = {
    "step": "Inputs: tokens (B,) int64, {states}. Outputs: log_probabilities (B, V), {after}.",
    "sequence": "Inputs: tokens (T, B) int64, {states}. Outputs: log_probabilities (T, B, V), {after}.",
}


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
    state = network.initial_state(1)
    states = ", ".join(f"state_{n} (B, {part.shape[1]})" for n, part in enumerate(state))
    after = ", ".join(f"next_state_{n}" for n in range(len(state)))
    loading = LOADING[format].format(name=name, form=FORM[form].format(states=states, after=after))
    share = 1 - about.active / about.masked if about.masked else 0.0
    rows = {
        "candidate": about.candidate,
        "model": about.recipe.model.name,
        "vocabulary": f"{len(about.vocabulary):,} words",
        "weights": f"{about.total:,}",
        **({"cut out": cut_units(network)} if about.cut else {}),
        "masked": f"{about.masked:,}, of which {about.active:,} are active (sparsity {share:.4f})",
        "validation perplexity": _against(about.valid_perplexity, about.dense_valid_perplexity),
        "test perplexity": _against(about.test_perplexity, about.dense_test_perplexity),
        "values": values,
        "file": f"{show_bytes(size)}; dense float32 is {show_bytes(4 * about.total)}",
        "made by": ", ".join(f"{m.name} of {m.package} {m.version}" for m in about.makers.values()),
    }
    data = about.recipe.data.model_copy(update={"root": None})
    recipe = dumps(about.recipe.model_copy(update={"data": data}))
    table = "\n".join(f"| {key} | {_cell(value)} |" for key, value in rows.items())
    return f"""# {_cell(about.recipe.title or "untitled")}: {_cell(about.candidate)}

A recurrent language model pruned by hyperprune {__version__}, as `{name}` ({format}).

| | |
|---|---|
{table}

Perplexities are of the weights as they were trained, in float32, before any rounding of this file.

## Loading

{loading}

State: {states}.

## Controls

{_controls(about.configuration)}

## Recipe

```toml
{recipe.rstrip()}
```
"""


def cut_units(network: TrainedNetwork) -> str:
    """Units that were cut out, as "layer 0: 700 of 1,500"."""
    left = {name: units.size for name, units in network.model.units().items()}  # type: ignore[operator]
    return "dead units: " + ", ".join(
        f"{count:,} of {count + left[name]:,} of {name}"
        for name, count in network.about.cut.items()
    )


def _against(value: float | None, dense: float | None) -> str:
    said = "not read" if value is None else f"{value:.2f}"
    return said if dense is None else f"{said} (dense {dense:.2f})"


def _controls(configuration: Mapping[str, Any]) -> str:
    lines = [f"- {key}: {_cell(value)}" for key, value in configuration.items()]
    return "\n".join(lines) or "The recipe's own; nothing was searched for."


def _cell(value: object) -> str:
    return " ".join(str(value).replace("|", "\\|").split())
