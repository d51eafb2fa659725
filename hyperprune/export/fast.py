"""A network whose step is fast on a CPU: its matrices sparse or in int8, whatever its architecture."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from hyperprune.errors import RunError, nearest
from hyperprune.export.about import About
from hyperprune.export.network import Network, TrainedNetwork
from hyperprune.export.products import (
    DenseProduct,
    DenseRows,
    Int8Product,
    Int8Rows,
    int8,
    plain,
)
from hyperprune.export.sparse import sparse, sparse_product, sparse_rows
from hyperprune.export.step import sample, step_module, with_weights
from hyperprune.model import State

Kind: TypeAlias = Literal["dense", "sparse", "int8"]
KINDS: tuple[Kind, ...] = ("dense", "sparse", "int8")
AUTO = "auto"
ROUNDS = 15
"""Timed steps of each kind that `auto` takes turns with."""

aten = torch.ops.aten
Storage: TypeAlias = tuple[
    Callable[[Tensor], Any], Callable[[Any], nn.Module], Callable[[Any], nn.Module]
]
STORAGES: Mapping[str, Storage] = {
    "dense": (plain, DenseProduct, DenseRows),
    "sparse": (sparse, sparse_product, sparse_rows),
    "int8": (int8, Int8Product, Int8Rows),
}
"""How a matrix is stored, what multiplies by it, and what looks up its rows."""


class CompiledNetwork(nn.Module, Network):
    """A network for streaming: `forward` takes tokens (B,), or inputs (B, F), and state, a step at a time.

    `kind` says how its matrices are stored, `seconds` how long a step of each kind took where
    `auto` chose. Of a traced `step` of the same architecture it takes a copy, in place of tracing anew.
    """

    def __init__(
        self, network: TrainedNetwork, kind: Kind, step: GraphModule | None = None
    ) -> None:
        super().__init__()
        self.kind, self.seconds = kind, dict[str, float]()
        self.about: About = network.about
        self._widths = [part.shape[1:] for part in network.initial_state(1)]
        traced = step_module(network) if step is None else with_weights(step, network)
        self.run = rewritten(traced, STORAGES[kind])

    @torch.no_grad()
    def forward(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (B, V) of what follows tokens (B,), or outputs (B, O), and the new state."""
        predicted, after = self.run(token, tuple(state))
        return predicted, tuple(after)

    def initial_state(self, batch: int) -> State:
        """Zero state of a batch."""
        return tuple(torch.zeros(batch, *width) for width in self._widths)

    def predict(self, inputs: Tensor, state: State) -> tuple[Tensor, State]:
        """Log-probabilities (T, B, V) of what follows tokens (T, B), or outputs (T, B, O), and the state."""
        rows = []
        for token in inputs:
            row, state = self(token, state)
            rows.append(row)
        return torch.stack(rows), state

    @property
    def nbytes(self) -> int:
        """Bytes of its weights in memory, each shared one once."""
        found = {p.data_ptr(): p.nbytes for p in (*self.parameters(), *self.buffers())}
        for module in self.modules():
            found |= getattr(module, "held", {})
        return sum(found.values())


def compiled(network: TrainedNetwork, kind: str = AUTO) -> CompiledNetwork:
    """Compile for steps of batch 1 to 4; `auto` times all and takes the faster of dense and sparse.

    int8 rounds, so it is timed, but only taken where it is asked for. Raises RunError for another
    kind, PluginError where the model cannot be traced.
    """
    if kind == AUTO:
        return _fastest(network)
    if kind not in KINDS:
        known = (*KINDS, AUTO)
        raise RunError(f"no kind {kind!r}{nearest(kind, known)}; known: {', '.join(known)}")
    return CompiledNetwork(network, kind)


def _fastest(network: TrainedNetwork) -> CompiledNetwork:
    traced = step_module(network)
    made = {kind: CompiledNetwork(network, kind, traced) for kind in KINDS}
    token, state = sample(network, 1, 1)[0], network.initial_state(1)
    seconds = interleaved({k: lambda own=own: own(token, state) for k, own in made.items()}, ROUNDS)  # type: ignore[misc]
    chosen = made[min(("dense", "sparse"), key=lambda kind: seconds[kind])]
    chosen.seconds = seconds
    return chosen


def interleaved(work: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median seconds of each piece of work, taken in turns so that a busy machine is fair to all."""
    found: dict[str, list[float]] = {name: [] for name in work}
    for call in work.values():
        call()
    for _ in range(rounds):
        for name, call in work.items():
            start = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in found.items()}


def rewritten(module: GraphModule, storage: Storage) -> GraphModule:
    """A traced step with every product by a fixed matrix, and every look-up in one, replaced in it."""
    graph, (stored_as, multiplies, looks_up) = module.graph, storage
    matrices: dict[tuple[str, bool], Any] = {}

    def add(made: Callable[[Any], nn.Module], node: Any, *, turned: bool) -> str:
        name, twice = _origin(node)
        key = (name, turned != twice)
        if key not in matrices:
            value = _value(module, node)
            matrices[key] = stored_as(value.t() if turned else value)
        module.add_module(f"fixed_{node.name}_{made.__name__}", made(matrices[key]))
        return f"fixed_{node.name}_{made.__name__}"

    for node in list(graph.nodes):
        if node.target in (aten.mm.default, aten.addmm.default):
            *bias, x, matrix = node.args
            if not _fixed(matrix) or _fixed(x) or node.kwargs:
                continue
            name = add(multiplies, matrix, turned=True)
            with graph.inserting_before(node):
                new = graph.call_module(name, (x,))
                if bias:
                    new = graph.call_function(aten.add.Tensor, (new, bias[0]))
        elif node.target == aten.embedding.default and _fixed(node.args[0]):
            name = add(looks_up, node.args[0], turned=False)
            with graph.inserting_before(node):
                new = graph.call_module(name, (node.args[1],))
        else:
            continue
        node.replace_all_uses_with(new)
        graph.erase_node(node)
    graph.eliminate_dead_code()
    module.delete_all_unused_submodules()
    for name in {name for name, _ in module.named_parameters()} - _read(graph.nodes):
        owner, _, last = name.rpartition(".")
        delattr(module.get_submodule(owner), last)
    module.recompile()
    return module


def _read(nodes: Any) -> set[str]:
    return {str(node.target) for node in nodes if node.op == "get_attr"}


def _fixed(node: object) -> bool:
    """Whether a node depends on weights alone."""
    if not isinstance(node, Node):
        return True
    if node.op == "get_attr":
        return True
    return node.op == "call_function" and all(_fixed(arg) for arg in _parts(node.args))


def _parts(args: Sequence[Any]) -> list[Any]:
    return [
        part
        for arg in args
        for part in (_parts(arg) if isinstance(arg, (list, tuple)) else [arg])
        if isinstance(part, Node)
    ]


def _origin(node: Node) -> tuple[str, bool]:
    """The weight that a node is, and whether it is turned; any other node is its own origin."""
    turned, start = False, node
    while node.op == "call_function" and node.target in (aten.permute.default, aten.clone.default):
        turned ^= node.target == aten.permute.default
        node = node.args[0]  # type: ignore[assignment]
    return (str(node.target), turned) if node.op == "get_attr" else (start.name, False)


def _value(module: GraphModule, node: Any) -> Any:
    """Compute what depends on weights alone."""
    if not isinstance(node, Node):
        if isinstance(node, (list, tuple)):
            return type(node)(_value(module, part) for part in node)
        return node
    if node.op == "get_attr":
        value: Any = module
        for part in str(node.target).split("."):
            value = getattr(value, part)
        return value.detach()
    arguments = [_value(module, argument) for argument in node.args]
    return node.target(*arguments, **node.kwargs)  # type: ignore[operator]
