"""A traced step as a list of C statements over flat buffers.

Views are torch's own operations on the indices of a value; arithmetic gets a loop, products with constant
matrices a call.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from hyperprune.errors import PluginError
from hyperprune.export.c.indices import strides
from hyperprune.export.c.operations import ARITHMETIC, COPIES, REDUCTIONS, RESHAPES, VIEWS, aten
from hyperprune.export.c.statements import Constant, Program, Value, Writer, literal


def translate(module: GraphModule) -> Program:
    """Translate a step traced for a batch of one; raises PluginError for an operation it does not know."""
    return _Translator(module).run()


class _Translator:
    def __init__(self, module: GraphModule) -> None:
        self.module, self.to = module, Writer()
        self.known: dict[Node, Any] = {}

    def run(self) -> Program:
        placeholders = [n for n in self.module.graph.nodes if n.op == "placeholder"]
        for number, node in enumerate(placeholders):
            shape = tuple(node.meta["val"].shape)
            index = torch.arange(math.prod(shape)).view(shape)
            if number:
                self.to.program.state.append(index.numel())
                self.known[node] = Value(f"self->s{number - 1}", index)
            elif node.meta["val"].is_floating_point():
                self.to.program.features = index.numel()
                self.known[node] = Value("x", index)
            else:
                self.known[node] = Value("token", index)
        for node in self.module.graph.nodes:
            if node.op == "get_attr":
                tensor = operator.attrgetter(str(node.target))(self.module)
                self.known[node] = Constant(
                    tensor.detach(), str(node.target).removeprefix("model.")
                )
            elif node.op == "call_function":
                self.known[node] = self.call(node)
            elif node.op == "output":
                self.finish(node.args[0])
        return self.to.program

    def finish(self, results: Sequence[Node]) -> None:
        """Write the answer, then the new state: everything has been read by then."""
        answer, *after = (self.to.value(self.known[node]) for node in results)
        self.to.program.outputs = answer.index.numel()
        self.to.loop("self->output", answer.shape, "{0}", [answer])
        # The old state may be part of the new one elsewhere, so all of it is gathered before it is set.
        moved = [self.to.copy(item) for item in after]
        for number, item in enumerate(moved):
            self.to.loop(f"self->s{number}", item.shape, "{0}", [item])

    def call(self, node: Node) -> Any:
        """The value of a node, with statements where it takes any."""
        if node.target is operator.getitem:
            return self.known[node.args[0]][node.args[1]]  # type: ignore[index]
        packet = getattr(node.target, "overloadpacket", None)
        arguments = [self.resolved(argument) for argument in node.args]
        if packet is aten._assert_tensor_metadata:
            return None
        if not any(isinstance(a, Value) for a in _flat(arguments)):
            return self.evaluated(node, arguments)
        if packet in VIEWS:
            return self.viewed(node, arguments)
        if packet in COPIES:
            return arguments[0]
        if packet is aten.full_like:
            return Constant(torch.full(arguments[0].shape, float(arguments[1])), str(node.name))
        if packet in ARITHMETIC:
            return self.arithmetic(node, packet, arguments)
        special: dict[Any, Callable[[Node, list[Any]], Value]] = {
            aten.embedding: self.embedding,
            aten.mm: self.product,
            aten.addmm: self.product,
            aten.bmm: self.products,
            aten.clamp: self.clamped,
            aten.cat: self.joined,
            aten._softmax: self.softmax,
            aten._log_softmax: self.softmax,
            aten.cumsum: self.cumulated,
            **dict.fromkeys(REDUCTIONS, self.reduced),
        }
        if packet not in special:
            raise PluginError(f"format c knows no {node.target}, which this model's step uses")
        return special[packet](node, arguments)

    def resolved(self, argument: Any) -> Any:
        if isinstance(argument, Node):
            return self.known[argument]
        if isinstance(argument, (list, tuple)):
            return [self.resolved(item) for item in argument]
        return argument

    def evaluated(self, node: Node, arguments: list[Any]) -> Any:
        """What depends on constants alone is computed now."""
        names = [a.name for a in _flat(arguments) if isinstance(a, Constant)]
        plain = [_plain(argument) for argument in arguments]
        result = node.target(*plain, **node.kwargs)  # type: ignore[operator]
        name = names[0] if names else str(node.name)
        if isinstance(result, Tensor):
            return Constant(result, name)
        return [Constant(item, name) for item in result]

    def viewed(self, node: Node, arguments: list[Any]) -> Any:
        whole, *rest = arguments
        if node.target.overloadpacket in RESHAPES:  # type: ignore[union-attr]
            return self.to.reshaped(whole, rest[0])
        result = node.target(whole.index, *rest, **node.kwargs)  # type: ignore[operator]
        if isinstance(result, Tensor):
            return Value(whole.buffer, result)
        return [Value(whole.buffer, item) for item in result]

    def arithmetic(self, node: Node, packet: Any, arguments: list[Any]) -> Value:
        text = ARITHMETIC[packet]
        options = {**node.kwargs}
        alpha = options.pop("alpha", 1)
        if options:
            raise PluginError(f"format c knows no {node.target} with {', '.join(options)}")
        if packet is aten.pow and arguments[1] == 2:
            text, arguments = "{0} * {0}", arguments[:1]
        if alpha != 1:
            text = text.replace("{1}", f"{literal(alpha)} * {{1}}")
        shape = tuple(node.meta["val"].shape)
        operands = [
            self.to.value(a, shape) if isinstance(a, (Value, Constant)) else literal(a)
            for a in arguments
        ]
        return self.to.loop(None, shape, text, operands)

    def embedding(self, node: Node, arguments: list[Any]) -> Value:
        table, token = arguments
        name = self.to.named("table", table, self.to.program.tables)
        out = self.to.buffer(table.tensor.shape[1])
        self.to.say(f"hp_row_{name}(token, {out});")
        shape = (*token.shape, table.tensor.shape[1])
        return Value(out, torch.arange(table.tensor.shape[1]).view(shape))

    def product(self, node: Node, arguments: list[Any]) -> Value:
        """x (M, K) times a constant (K, N), with what is added: N values a row."""
        *added, x, weight = arguments
        if not (isinstance(weight, Constant) and isinstance(x, Value)):
            raise PluginError("format c knows products with constant matrices alone")
        matrix = Constant(weight.tensor.t(), weight.name)
        name = self.to.named("matrix", matrix, self.to.program.matrices)
        rows, width = x.shape[0], matrix.tensor.shape[0]
        source = self.to.flat(x)
        out = self.to.buffer(rows * width)
        start = int(source.index.flatten()[0])
        for row in range(rows):
            at = f"{source.buffer} + {start + row * x.shape[1]}"
            self.to.say(f"hp_product_{name}(self, {at}, {out} + {row * width});")
        result = Value(out, torch.arange(rows * width).view(rows, width))
        if added:
            other = self.to.value(added[0], (rows, width))
            return self.to.loop(None, (rows, width), "{0} + {1}", [result, other])
        return result

    def products(self, node: Node, arguments: list[Any]) -> Value:
        """x (G, M, K) times constants (G, K, N): a product a matrix of the group."""
        x, weight = arguments
        if not (isinstance(weight, Constant) and isinstance(x, Value)):
            raise PluginError("format c knows products with constant matrices alone")
        groups, rows, width = node.meta["val"].shape
        out = self.to.buffer(groups * rows * width)
        index = torch.arange(groups * rows * width).view(groups, rows, width)
        for group in range(groups):
            matrix = Constant(weight.tensor[group], weight.name)
            found = self.product(node, [Value(x.buffer, x.index[group]), matrix])
            self.to.loop(Value(out, index[group]), (rows, width), "{0}", [found])
        return Value(out, index)

    def clamped(self, node: Node, arguments: list[Any]) -> Value:
        x, low, high = [*arguments, None][:3]
        text = "{0}" if low is None else f"fmaxf({{0}}, {literal(low)})"
        text = text if high is None else f"fminf({text}, {literal(high)})"
        return self.to.loop(None, x.shape, text, [x])

    def joined(self, node: Node, arguments: list[Any]) -> Value:
        shape = tuple(node.meta["val"].shape)
        dim = arguments[1] if len(arguments) > 1 else 0
        size = math.prod(shape)
        out = self.to.buffer(size)
        index = torch.arange(size).view(shape)
        at = 0
        for part in arguments[0]:
            item = self.to.value(part)
            span = item.shape[dim]
            self.to.loop(Value(out, index.narrow(dim, at, span)), item.shape, "{0}", [item])
            at += span
        return Value(out, index)

    def softmax(self, node: Node, arguments: list[Any]) -> Value:
        x, dim = arguments[0], arguments[1] % len(arguments[0].shape)
        if dim != len(x.shape) - 1:
            raise PluginError("format c knows softmax over the last dimension alone")
        rows = x.index.reshape(-1, x.shape[-1])
        source = self.to.flat(x)
        out = self.to.buffer(rows.numel())
        start, width = int(source.index.flatten()[0]), rows.shape[1]
        kind = "log_softmax" if "log" in str(node.target) else "softmax"
        for row in range(len(rows)):
            at = f"{source.buffer} + {start + row * width}"
            self.to.say(f"hp_{kind}({at}, {out} + {row * width}, {width});")
        return Value(out, torch.arange(rows.numel()).view(x.shape))

    def cumulated(self, node: Node, arguments: list[Any]) -> Value:
        x, dim = arguments[0], arguments[1]
        moved = x.index.movedim(dim, -1)
        out = self.to.buffer(moved.numel())
        index = torch.arange(moved.numel()).view(moved.shape)
        for rows, into in zip(
            moved.reshape(-1, moved.shape[-1]), index.reshape(-1, moved.shape[-1]), strict=True
        ):
            self.to.say("{ float a = 0.0f;")
            for source, target in zip(rows.tolist(), into.tolist(), strict=True):
                self.to.say(f"  a += {x.buffer}[{source}]; {out}[{target}] = a;")
            self.to.say("}")
        return Value(out, index.movedim(-1, dim))

    def reduced(self, node: Node, arguments: list[Any]) -> Value:
        packet = node.target.overloadpacket  # type: ignore[union-attr]
        start, text = REDUCTIONS[packet]
        x = arguments[0]
        dims = arguments[1] if len(arguments) > 1 and arguments[1] else list(range(len(x.shape)))
        dims = sorted(d % len(x.shape) for d in (dims if isinstance(dims, list) else [dims]))
        kept = [d for d in range(len(x.shape)) if d not in dims]
        shape = tuple(node.meta["val"].shape)
        size = math.prod(shape)
        x = self.to.reshaped(Value(x.buffer, x.index.permute(*kept, *dims)), [size, -1])
        terms = x.index
        out = self.to.buffer(size)
        outer, inner = strides(terms)
        base = int(terms.flatten()[0])
        each = f"{x.buffer}[{base} + i * {outer} + j * {inner}]"
        share = f" / {literal(terms.shape[1])}" if packet is aten.mean else ""
        self.to.say(f"for (int i = 0; i < {size}; i++) {{ float a = {start};")
        self.to.say(f"  for (int j = 0; j < {terms.shape[1]}; j++) {{ {text.format(each)} }}")
        self.to.say(f"  {out}[i] = a{share}; }}")
        return Value(out, torch.arange(size).view(shape))


def _flat(arguments: Sequence[Any]) -> list[Any]:
    return [x for a in arguments for x in (_flat(a) if isinstance(a, list) else [a])]


def _plain(argument: Any) -> Any:
    if isinstance(argument, Constant):
        return argument.tensor
    return [_plain(item) for item in argument] if isinstance(argument, list) else argument


def traced(step: nn.Module, read: Tensor, state: tuple[Tensor, ...]) -> GraphModule:
    """A step for a batch of one, which reads a token (1,) or features (1, F), as a plain graph."""
    with torch.no_grad():
        module = torch.export.export(step, (read, state)).run_decompositions().module()
    assert isinstance(module, GraphModule)
    return module
