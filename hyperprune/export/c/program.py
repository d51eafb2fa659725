"""A traced step as a list of C statements over flat buffers.

Every value of the graph is a buffer and the indices that it reads there. So whatever only looks at its
input otherwise (a view, slice, split, permutation) is torch's own operation on the indices, and needs no
statement; arithmetic gets a loop, products with constant matrices a call.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from hyperprune.errors import PluginError
from hyperprune.export.c.indices import even, merged, strides

aten = torch.ops.aten

RESHAPES = {aten.view, aten._unsafe_view, aten.reshape}
VIEWS = {
    *RESHAPES,
    aten.squeeze,
    aten.unsqueeze,
    aten.permute,
    aten.transpose,
    aten.t,
    aten.expand,
    aten.slice,
    aten.select,
    aten.split,
    aten.split_with_sizes,
    aten.alias,
    aten.detach,
}
COPIES = {aten.clone, aten._to_copy}
ARITHMETIC: dict[Any, str] = {
    aten.add: "{0} + {1}",
    aten.sub: "{0} - {1}",
    aten.rsub: "{1} - {0}",
    aten.mul: "{0} * {1}",
    aten.div: "{0} / {1}",
    aten.neg: "-{0}",
    aten.abs: "fabsf({0})",
    aten.sigmoid: "hp_sigmoid({0})",
    aten.tanh: "hp_tanh({0})",
    aten.exp: "hp_exp({0})",
    aten.log: "logf({0})",
    aten.log1p: "log1pf({0})",
    aten.gelu: "(0.5f * {0} * (1.0f + erff({0} * 0.707106781f)))",
    aten.relu: "({0} > 0.0f ? {0} : 0.0f)",
    aten.sqrt: "sqrtf({0})",
    aten.pow: "powf({0}, {1})",
    aten.sin: "sinf({0})",
    aten.cos: "cosf({0})",
    aten.silu: "({0} * hp_sigmoid({0}))",
    aten.rsqrt: "(1.0f / sqrtf({0}))",
    aten.maximum: "({0} > {1} ? {0} : {1})",
    aten.minimum: "({0} < {1} ? {0} : {1})",
    aten.where: "({0} != 0.0f ? {1} : {2})",
    aten.eq: "({0} == {1} ? 1.0f : 0.0f)",
    aten.ne: "({0} != {1} ? 1.0f : 0.0f)",
    aten.ge: "({0} >= {1} ? 1.0f : 0.0f)",
    aten.gt: "({0} > {1} ? 1.0f : 0.0f)",
    aten.le: "({0} <= {1} ? 1.0f : 0.0f)",
    aten.lt: "({0} < {1} ? 1.0f : 0.0f)",
    aten.logical_not: "({0} != 0.0f ? 0.0f : 1.0f)",
}
REDUCTIONS = {
    aten.sum: ("0.0f", "a += {0};"),
    aten.amax: ("-INFINITY", "if ({0} > a) a = {0};"),
    aten.mean: ("0.0f", "a += {0};"),
}


@dataclass(frozen=True, eq=False)
class Value:
    """What a node holds: elements `index` (of the value's shape) of a buffer."""

    buffer: str
    index: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape in the graph."""
        return tuple(self.index.shape)


@dataclass(frozen=True, eq=False)
class Constant:
    """A tensor that no input changes, with the parameter's name where it is one or a view of one."""

    tensor: Tensor
    name: str


@dataclass
class Program:
    """C statements of one step, with what they refer to.

    buffers: elements of each scratch buffer. matrices: name in C → (constant (N, K), its parameter).
    vectors: name in C → constant read by elements. tables: name in C → table whose rows are looked up.
    state: elements of each part. features: numbers that a step reads; 0: it reads a token. outputs: numbers
    that it answers with.
    """

    statements: list[str] = field(default_factory=list)
    buffers: dict[str, int] = field(default_factory=dict)
    matrices: dict[str, tuple[Tensor, str]] = field(default_factory=dict)
    vectors: dict[str, Tensor] = field(default_factory=dict)
    tables: dict[str, tuple[Tensor, str]] = field(default_factory=dict)
    state: list[int] = field(default_factory=list)
    features: int = 0
    outputs: int = 0


def translate(module: GraphModule) -> Program:
    """Translate a step traced for a batch of one; raises PluginError for an operation it does not know."""
    return _Translator(module).run()


class _Translator:
    def __init__(self, module: GraphModule) -> None:
        self.module, self.program = module, Program()
        self.known: dict[Node, Any] = {}
        self.numbers = itertools.count()
        self.names: dict[tuple[str, str], str] = {}

    def run(self) -> Program:
        placeholders = [n for n in self.module.graph.nodes if n.op == "placeholder"]
        for number, node in enumerate(placeholders):
            shape = tuple(node.meta["val"].shape)
            index = torch.arange(math.prod(shape)).view(shape)
            if number:
                self.program.state.append(index.numel())
                self.known[node] = Value(f"self->s{number - 1}", index)
            elif node.meta["val"].is_floating_point():
                self.program.features = index.numel()
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
        return self.program

    def finish(self, results: Sequence[Node]) -> None:
        """Write the answer, then the new state: everything has been read by then."""
        answer, *after = (self.value(self.known[node]) for node in results)
        self.program.outputs = answer.index.numel()
        self.loop("self->output", answer.shape, "{0}", [answer])
        # The old state may be part of the new one elsewhere, so all of it is gathered before it is set.
        moved = [self.copy(item) for item in after]
        for number, item in enumerate(moved):
            self.loop(f"self->s{number}", item.shape, "{0}", [item])

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
            return self.reshaped(whole, rest[0])
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
            text = text.replace("{1}", f"{_number(alpha)} * {{1}}")
        shape = tuple(node.meta["val"].shape)
        operands = [
            self.value(a, shape) if isinstance(a, (Value, Constant)) else _number(a)
            for a in arguments
        ]
        return self.loop(None, shape, text, operands)

    def embedding(self, node: Node, arguments: list[Any]) -> Value:
        table, token = arguments
        name = self.named("table", table, self.program.tables)
        out = self.buffer(table.tensor.shape[1])
        self.say(f"hp_row_{name}(token, {out});")
        shape = (*token.shape, table.tensor.shape[1])
        return Value(out, torch.arange(table.tensor.shape[1]).view(shape))

    def product(self, node: Node, arguments: list[Any]) -> Value:
        """x (M, K) times a constant (K, N), with what is added: N values a row."""
        *added, x, weight = arguments
        if not (isinstance(weight, Constant) and isinstance(x, Value)):
            raise PluginError("format c knows products with constant matrices alone")
        matrix = Constant(weight.tensor.t(), weight.name)
        name = self.named("matrix", matrix, self.program.matrices)
        rows, width = x.shape[0], matrix.tensor.shape[0]
        source = self.flat(x)
        out = self.buffer(rows * width)
        start = int(source.index.flatten()[0])
        for row in range(rows):
            at = f"{source.buffer} + {start + row * x.shape[1]}"
            self.say(f"hp_product_{name}(self, {at}, {out} + {row * width});")
        result = Value(out, torch.arange(rows * width).view(rows, width))
        if added:
            other = self.value(added[0], (rows, width))
            return self.loop(None, (rows, width), "{0} + {1}", [result, other])
        return result

    def products(self, node: Node, arguments: list[Any]) -> Value:
        """x (G, M, K) times constants (G, K, N): a product a matrix of the group."""
        x, weight = arguments
        if not (isinstance(weight, Constant) and isinstance(x, Value)):
            raise PluginError("format c knows products with constant matrices alone")
        groups, rows, width = node.meta["val"].shape
        out = self.buffer(groups * rows * width)
        index = torch.arange(groups * rows * width).view(groups, rows, width)
        for group in range(groups):
            matrix = Constant(weight.tensor[group], weight.name)
            found = self.product(node, [Value(x.buffer, x.index[group]), matrix])
            self.loop(Value(out, index[group]), (rows, width), "{0}", [found])
        return Value(out, index)

    def clamped(self, node: Node, arguments: list[Any]) -> Value:
        x, low, high = [*arguments, None][:3]
        text = "{0}" if low is None else f"fmaxf({{0}}, {_number(low)})"
        text = text if high is None else f"fminf({text}, {_number(high)})"
        return self.loop(None, x.shape, text, [x])

    def joined(self, node: Node, arguments: list[Any]) -> Value:
        shape = tuple(node.meta["val"].shape)
        dim = arguments[1] if len(arguments) > 1 else 0
        size = math.prod(shape)
        out = self.buffer(size)
        index = torch.arange(size).view(shape)
        at = 0
        for part in arguments[0]:
            item = self.value(part)
            span = item.shape[dim]
            self.loop(Value(out, index.narrow(dim, at, span)), item.shape, "{0}", [item])
            at += span
        return Value(out, index)

    def softmax(self, node: Node, arguments: list[Any]) -> Value:
        x, dim = arguments[0], arguments[1] % len(arguments[0].shape)
        if dim != len(x.shape) - 1:
            raise PluginError("format c knows softmax over the last dimension alone")
        rows = x.index.reshape(-1, x.shape[-1])
        source = self.flat(x)
        out = self.buffer(rows.numel())
        start, width = int(source.index.flatten()[0]), rows.shape[1]
        kind = "log_softmax" if "log" in str(node.target) else "softmax"
        for row in range(len(rows)):
            at = f"{source.buffer} + {start + row * width}"
            self.say(f"hp_{kind}({at}, {out} + {row * width}, {width});")
        return Value(out, torch.arange(rows.numel()).view(x.shape))

    def cumulated(self, node: Node, arguments: list[Any]) -> Value:
        x, dim = arguments[0], arguments[1]
        moved = x.index.movedim(dim, -1)
        out = self.buffer(moved.numel())
        index = torch.arange(moved.numel()).view(moved.shape)
        for rows, into in zip(
            moved.reshape(-1, moved.shape[-1]), index.reshape(-1, moved.shape[-1]), strict=True
        ):
            self.say("{ float a = 0.0f;")
            for source, target in zip(rows.tolist(), into.tolist(), strict=True):
                self.say(f"  a += {x.buffer}[{source}]; {out}[{target}] = a;")
            self.say("}")
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
        x = self.reshaped(Value(x.buffer, x.index.permute(*kept, *dims)), [size, -1])
        terms = x.index
        out = self.buffer(size)
        outer, inner = strides(terms)
        base = int(terms.flatten()[0])
        each = f"{x.buffer}[{base} + i * {outer} + j * {inner}]"
        share = f" / {_number(terms.shape[1])}" if packet is aten.mean else ""
        self.say(f"for (int i = 0; i < {size}; i++) {{ float a = {start};")
        self.say(f"  for (int j = 0; j < {terms.shape[1]}; j++) {{ {text.format(each)} }}")
        self.say(f"  {out}[i] = a{share}; }}")
        return Value(out, torch.arange(size).view(shape))

    def loop(
        self,
        target: str | Value | None,
        shape: Sequence[int],
        text: str,
        operands: Sequence[Value | str],
    ) -> Value:
        """Statements that fill a new buffer, or `target`, with an expression of operands of a shape."""
        size = math.prod(shape)
        if isinstance(target, Value):
            result = target
        else:
            result = Value(target or self.buffer(size), torch.arange(size).view(tuple(shape)))
        terms = [result, *(item for item in operands if isinstance(item, Value))]
        dims, apart = merged([item.index for item in terms])
        letters = "ijklmn"[: len(dims)]

        def place(item: Value, own: Sequence[int]) -> str:
            base = int(item.index.flatten()[0])
            parts = [
                f"{letter} * {s}" if s != 1 else letter
                for letter, s in zip(letters, own, strict=True)
                if s
            ]
            return f"{item.buffer}[{' + '.join([*parts, *([str(base)] if base or not parts else [])])}]"

        places = [place(item, own) for item, own in zip(terms, apart, strict=True)]
        given = iter(places[1:])
        said = [next(given) if isinstance(item, Value) else item for item in operands]
        head = "".join(
            f"for (int {c} = 0; {c} < {n}; {c}++) " for c, n in zip(letters, dims, strict=True)
        )
        self.say(f"{head}{places[0]} = {text.format(*said)};")
        return result

    def value(self, item: Value | Constant, shape: Sequence[int] | None = None) -> Value:
        """An operand as a value, broadcast to a shape."""
        if isinstance(item, Constant):
            name = self.named("vector", item, self.program.vectors)
            item = Value(name, torch.arange(item.tensor.numel()).view(item.tensor.shape))
        return item if shape is None else Value(item.buffer, item.index.expand(tuple(shape)))

    def reshaped(self, item: Value, shape: Sequence[int]) -> Value:
        """A value in another shape; copied where dimensions that lie apart become one."""
        if even(item.index.reshape(shape)):
            return Value(item.buffer, item.index.reshape(shape))
        return Value((moved := self.copy(item)).buffer, moved.index.reshape(shape))

    def flat(self, item: Value) -> Value:
        """A value whose elements lie one after another; copied where they do not."""
        index = item.index.flatten()
        whole = torch.arange(len(index)) + index[0]
        return item if torch.equal(index, whole) else self.copy(item)

    def copy(self, item: Value) -> Value:
        return self.loop(None, item.shape, "{0}", [item])

    def buffer(self, size: int) -> str:
        name = f"b{next(self.numbers)}"
        self.program.buffers[name] = size
        return name

    def named(self, kind: str, item: Constant, store: dict[str, Any]) -> str:
        """The C name of a constant: one for every use of the same view of a parameter.

        What was computed from a parameter has its name but not its memory, by which they are told apart.
        """
        tensor = item.tensor
        key = (kind, f"{tensor.data_ptr()}/{tuple(tensor.shape)}/{tensor.stride()}")
        if key not in self.names:
            self.names[key] = f"{kind}{sum(k == kind for k, _ in self.names)}"
            store[self.names[key]] = tensor if kind == "vector" else (tensor, item.name)
        return self.names[key]

    def say(self, line: str) -> None:
        self.program.statements.append(line)


def _flat(arguments: Sequence[Any]) -> list[Any]:
    return [x for a in arguments for x in (_flat(a) if isinstance(a, list) else [a])]


def _plain(argument: Any) -> Any:
    if isinstance(argument, Constant):
        return argument.tensor
    return [_plain(item) for item in argument] if isinstance(argument, list) else argument


def _number(value: Any) -> str:
    number = float(value)
    if math.isinf(number):
        return "INFINITY" if number > 0 else "-INFINITY"
    text = f"{number:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"


def traced(step: nn.Module, read: Tensor, state: tuple[Tensor, ...]) -> GraphModule:
    """A step for a batch of one, which reads a token (1,) or features (1, F), as a plain graph."""
    with torch.no_grad():
        module = torch.export.export(step, (read, state)).run_decompositions().module()
    assert isinstance(module, GraphModule)
    return module
