"""C statements over flat buffers, as they are written down.

Every value is a buffer and the indices that are read there, so whatever only looks at its input otherwise
(a view, slice, split, permutation) is torch's own operation on the indices, and needs no statement.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hyperprune.export.c.indices import even, merged


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


class Writer:
    """Adds statements to a program, with the buffers and constants that they name."""

    def __init__(self) -> None:
        self.program = Program()
        self.numbers = itertools.count()
        self.names: dict[tuple[str, str], str] = {}

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
        """A value's elements one after another, in a buffer of their own."""
        return self.loop(None, item.shape, "{0}", [item])

    def buffer(self, size: int) -> str:
        """The name of a new buffer of so many elements."""
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
        """Add a line of C."""
        self.program.statements.append(line)


def literal(value: Any) -> str:
    """A float as C spells it."""
    given = float(value)
    if math.isinf(given):
        return "INFINITY" if given > 0 else "-INFINITY"
    text = f"{given:.9g}"
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
