"""A network as an ONNX file with explicit state, checked by onnxruntime before it is kept."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from hyperprune.errors import RunError
from hyperprune.export.about import read_about
from hyperprune.export.network import Network, TrainedNetwork
from hyperprune.export.step import carries, sample, step_program, whole_program
from hyperprune.model import State
from hyperprune.runtime.quiet import quiet
from hyperprune.store import atomic

Form: TypeAlias = Literal["step", "sequence"]
FORMS: tuple[Form, ...] = ("step", "sequence")
ABOUT = "hyperprune"
"""The metadata entry that says which network it is."""
TOLERANCE = 1e-4
"""How far log-probabilities may lie from PyTorch's."""
TOKENS, PREDICTED = "tokens", "log_probabilities"
INPUTS, OUTPUTS = "inputs", "outputs"
"""What tokens and log-probabilities are, of tasks that foretell no words."""


def write_onnx(
    network: TrainedNetwork, path: Path, form: Form = "step", *, int8: bool = False
) -> None:
    """Write an ONNX file; raises RunError where onnxruntime then computes something else.

    `step`: tokens (B,) and state_0 … to log_probabilities (B, V) and next_state_0 …; `sequence`:
    tokens (T, B) to log_probabilities (T, B, V), the step inside a Scan. Of other tasks inputs (…, F)
    to outputs (…, O); a network that carries no state has none in its file. `int8` quantises weights
    by onnxruntime's dynamic quantisation, and is held against PyTorch only by its shapes.
    """
    onnx = _needed("onnx")
    _needed("onnxruntime")
    with tempfile.TemporaryDirectory() as folder:
        model = _traced(network, form, Path(folder))
        if int8:
            model = _quantised(model, Path(folder))
    if form == "sequence" and carries(network):
        model = _sequence(model, len(network.initial_state(1)))
    onnx.helper.set_model_props(model, {ABOUT: network.about.portable()})

    def fill(partial: Path) -> None:
        onnx.save(model, str(partial))
        _check(network, OnnxNetwork(partial), exact=not int8)

    try:
        atomic.write(path, fill)
    except ValueError as error:  # protobuf's limit
        raise RunError(f"cannot write {path}: an ONNX file holds at most 2 GB: {error}") from error


class OnnxNetwork(Network):
    """A network in an ONNX file, run by onnxruntime; torch computes nothing."""

    def __init__(self, path: Path) -> None:
        runtime = _needed("onnxruntime")
        options = runtime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = torch.get_num_threads()
        try:
            self.session = runtime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
            said = self.session.get_modelmeta().custom_metadata_map.get(ABOUT)
            self.inputs = self.session.get_inputs()
        except Exception as error:  # onnxruntime's errors share no class
            first = str(error).strip().splitlines()[0]
            raise RunError(f"{path} is no ONNX file that can be run: {first}") from error
        self.about = read_about(said, path)
        name, one = (TOKENS, 1) if self.about.language else (INPUTS, 2)
        if not self.inputs or self.inputs[0].name != name:
            raise RunError(f"{path} is damaged: its first input is not {name!r}")
        self.form: Form = "sequence" if len(self.inputs[0].shape) > one else "step"

    def initial_state(self, batch: int) -> State:
        """Zero state of a batch."""
        return tuple(torch.zeros(batch, int(item.shape[1])) for item in self.inputs[1:])

    def predict(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (T, B, V) of what follows tokens (T, B), or outputs (T, B, O), and the state.

        Raises RunError where the file is of sequences of another length.
        """
        if len(self.inputs) == 1:
            return self._whole(inputs), state
        if self.form == "sequence":
            return self._run(inputs, state)
        rows = []
        for token in inputs:
            row, state = self._run(token, state)
            rows.append(row)
        return torch.stack(rows), state

    def _whole(self, inputs: Tensor) -> Tensor:
        """Outputs (T, B, O) of a network without a state, in as many sequences as its file takes."""
        steps, batch, _ = self.inputs[0].shape
        if isinstance(steps, int) and steps != len(inputs):
            raise RunError(f"this file takes sequences of {steps} steps; found {len(inputs)}")
        parts = inputs.split(1, 1) if batch == 1 else [inputs]
        return torch.cat([self._run(part, ())[0] for part in parts], 1)

    def _run(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        given = [tokens, *state]
        feed = {
            item.name: value.contiguous().numpy()
            for item, value in zip(self.inputs, given, strict=True)
        }
        try:
            arrays = self.session.run(None, feed)
        except Exception as error:  # onnxruntime's errors share no class
            first = str(error).strip().splitlines()[0]
            raise RunError(f"onnxruntime cannot run this network: {first}") from error
        predicted, *after = map(torch.from_numpy, arrays)
        return predicted, tuple(after)


def _traced(network: TrainedNetwork, form: Form, folder: Path) -> Any:
    """The step as an ONNX model, inputs and outputs under their public names.

    Of a network that carries no state, all of it.
    """
    onnx = _needed("onnx")
    _needed("onnxscript")
    whole = form == "sequence" and not carries(network)
    program = whole_program(network) if whole else step_program(network)
    path = folder / "step.onnx"
    state = range(0 if whole else len(network.initial_state(1)))
    read, made = names_of(network)
    with quiet():
        traced = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=[read, *(f"state_{n}" for n in state)],
            output_names=[made, *(f"next_state_{n}" for n in state)],
        )
        assert traced is not None
        traced.save(str(path), external_data=False)
    return onnx.load(str(path))


def names_of(network: TrainedNetwork) -> tuple[str, str]:
    """What is read and what is made of it, by their public names."""
    return (TOKENS, PREDICTED) if network.about.language else (INPUTS, OUTPUTS)


def _quantised(model: Any, folder: Path) -> Any:
    """Weights of matrix products as int8, activations quantised as they come."""
    onnx = _needed("onnx")
    from onnxruntime.quantization import QuantType, quantize_dynamic

    before, after = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, str(before))
    with quiet():
        quantize_dynamic(str(before), str(after), weight_type=QuantType.QInt8, per_channel=True)
    return onnx.load(str(after))


def _sequence(step: Any, parts: int) -> Any:
    """The step inside a Scan over the first dimension of its tokens; weights stay outside it."""
    helper, types = _needed("onnx").helper, _needed("onnx").TensorProto
    graph = step.graph
    tokens, *states = graph.input
    predicted, *after = graph.output
    body = helper.make_graph(
        list(graph.node), "step", [*states, tokens], [*after, predicted], value_info=[]
    )
    carried = [f"first_state_{n}" for n in range(parts)]
    scan = helper.make_node(
        "Scan",
        [*carried, "sequence"],
        [*(f"last_state_{n}" for n in range(parts)), "all_predicted"],
        num_scan_inputs=1,
        body=body,
    )
    read, made = tokens.name, predicted.name
    kind = tokens.type.tensor_type.elem_type
    features = [dim.dim_value for dim in tokens.type.tensor_type.shape.dim[1:]]
    width = [item.type.tensor_type.shape.dim[1].dim_value for item in states]
    vocabulary = predicted.type.tensor_type.shape.dim[1].dim_value
    # The names inside the body are its own; the graph's are renamed around it.
    nodes = [
        helper.make_node("Identity", [read], ["sequence"]),
        *(helper.make_node("Identity", [f"state_{n}"], [carried[n]]) for n in range(parts)),
        scan,
        helper.make_node("Identity", ["all_predicted"], [made]),
        *(
            helper.make_node("Identity", [f"last_state_{n}"], [f"next_state_{n}"])
            for n in range(parts)
        ),
    ]
    for item in (*body.input, *body.output):
        _rename(body, item.name, f"step_{item.name}")
    value = helper.make_tensor_value_info
    outer = helper.make_graph(
        nodes,
        "sequence",
        [
            value(read, kind, ["time", "batch", *features]),
            *(value(f"state_{n}", types.FLOAT, ["batch", width[n]]) for n in range(parts)),
        ],
        [
            value(made, types.FLOAT, ["time", "batch", vocabulary]),
            *(value(f"next_state_{n}", types.FLOAT, ["batch", width[n]]) for n in range(parts)),
        ],
        initializer=list(graph.initializer),
    )
    scan_node = next(node for node in outer.node if node.op_type == "Scan")
    for attribute in scan_node.attribute:
        if attribute.name == "body":
            attribute.g.CopyFrom(body)
    model = helper.make_model(
        outer, opset_imports=list(step.opset_import), ir_version=step.ir_version
    )
    model.functions.extend(step.functions)
    return model


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for item in (*graph.input, *graph.output):
        if item.name == old:
            item.name = new


def _check(network: TrainedNetwork, written: OnnxNetwork, *, exact: bool) -> None:
    """Run both on a few inputs; raises RunError where they differ by more than the tolerance."""
    steps = 4 if carries(network) else network.about.sequences().steps or 1
    inputs = sample(network, steps, 3)
    carried = network.initial_state(3) if carries(network) else ()
    wanted, end = network.predict(inputs, carried)
    found, after = written.predict(inputs, written.initial_state(3))
    if found.shape != wanted.shape or not found.isfinite().all():
        raise RunError("onnxruntime does not run the written file as PyTorch runs the model")
    worst = max(
        float((a - b).abs().max()) for a, b in zip((found, *after), (wanted, *end), strict=True)
    )
    if exact and worst > TOLERANCE:
        raise RunError(
            f"onnxruntime's answers lie {worst:.2g} from PyTorch's, more than {TOLERANCE:g}; "
            "the file was not kept"
        )


def _needed(name: str) -> Any:
    """Import a library of the extra `export`; raises RunError saying how to install it."""
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise RunError(f"ONNX needs {name}: pip install 'hyperprune[export]'") from error
