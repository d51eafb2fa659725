"""The ordered-neurons LSTM cell: its pointwise step, gradient and tangent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperprune.layers.scan import Saved, by_step
from hyperprune.layers.slopes import sigmoid_slope, tanh_slope
from hyperprune.lyapunov.tangent import LayerTangent, StateKind
from hyperprune.lyapunov.tangent.cells import Memory, RowScaled


def gate_sizes(hidden: int, chunks: int) -> dict[str, int]:
    """Rows of each gate in the stacked weights: two master gates of a row a chunk, four of H."""
    sizes = dict.fromkeys(("master_forget", "master_input"), chunks)
    return sizes | dict.fromkeys(("forget", "input", "cell", "output"), hidden)


class OrderedCell:
    """LSTM whose memory is forgotten and written by levels of a hierarchy.

    Shen et al. 2019 (arXiv 1810.09536), equations 6 to 14. With F = cumax(f̃) and
    I = 1 − cumax(ĩ), each for a chunk of C units, and ω = F ⊙ I:
    f̂ = f ⊙ ω + (F − ω), î = i ⊙ ω + (I − ω), c' = f̂ ⊙ c + î ⊙ g, h' = o ⊙ tanh(c').
    """

    def __init__(self, chunk: int) -> None:
        self.chunk = chunk

    def chunks(self, rows: int) -> int:
        """How many chunks a z of so many rows has."""
        return rows // (4 * self.chunk + 2)

    def levels(self, x: Tensor) -> Tensor:
        """Give each chunk's value (…, n) to its units, (…, H)."""
        spread: Tensor = x.unsqueeze(-1).expand(*x.shape, self.chunk).flatten(-2)
        return spread

    def by_chunk(self, x: Tensor) -> Tensor:
        """View of units (…, H) that `spread` fills and `sum` reads."""
        view: Tensor = x.unflatten(-1, (-1, self.chunk))  # (…, n, C)
        return view

    def spread(self, x: Tensor, out: Tensor) -> None:
        """`levels` into a view `by_chunk`."""
        out.copy_(x.unsqueeze(-1))

    def sum(self, x: Tensor, out: Tensor) -> None:
        """Sums over the units of each chunk of a view `by_chunk`, (…, n)."""
        torch.sum(x, -1, out=out)

    def forward(self, z: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Saved]:
        """Next h and c (B, H), and what the gradient needs."""
        assert c is not None
        n, H = self.chunks(z.shape[-1]), c.shape[-1]
        masters, both, g, o = z.split([2 * n, 2 * H, H, H], -1)
        masters = torch.softmax(masters.unflatten(-1, (2, n)), -1)  # (B, 2, n)
        f, i = torch.sigmoid(both).chunk(2, -1)  # (B, H)
        g, o = torch.tanh(g), torch.sigmoid(o)
        F, hidden = self.levels(masters.cumsum(-1)).unbind(-2)  # (B, H)
        I = 1 - hidden  # noqa: E741
        overlap = F * I
        keep = torch.addcmul(F - overlap, f, overlap)
        write = torch.addcmul(I - overlap, i, overlap)
        memory = torch.addcmul(write * g, keep, c)
        squashed = torch.tanh(memory)
        return o * squashed, memory, (masters, f, i, g, o, F, I, keep, write, c, squashed)

    def room(self, z: Tensor, h: Tensor, c: Tensor | None) -> tuple[Saved, list[Saved]]:
        """The four gates take the place of theirs in z, g excepted."""
        assert c is not None
        n, H = self.chunks(z.shape[-1]), c.shape[-1]
        masters_in, gates = z.split([2 * n, 4 * H], -1)
        both, g_in, o = gates.split([2 * H, H, H], -1)
        g, squashed = torch.empty_like(c[1:]), torch.empty_like(c[1:])
        masters = z.new_empty(*z.shape[:2], 2, n)
        levels, written = (z.new_empty(*z.shape[:2], 2, H) for _ in range(2))
        f, i = both.chunk(2, -1)
        F, I = levels.unbind(-2)  # noqa: E741
        keep, write = written.unbind(-2)
        saved = (masters, f, i, g, o, F, I, keep, write, c[:-1], squashed)
        overlap, one = torch.empty_like(c[0]), torch.ones_like(c[0])
        shared = (torch.empty_like(masters[0]), overlap, overlap.unsqueeze(-2), one)
        steps = by_step(
            masters_in.unflatten(-1, (2, n)), gates, g_in, both.unflatten(-1, (2, H)), levels,
            self.by_chunk(levels), written,
            *saved, c[1:], h[1:],
        )  # fmt: skip
        return saved, [(*shared, *step) for step in steps]

    def advance(self, *views: Tensor) -> None:
        """`forward` in place."""
        (sums, overlap, wide, one, masters_in, gates, g_in, both, levels, chunks, written,
         masters, _, _, g, o, F, I, keep, write, c, squashed, memory, output) = views  # noqa: E741 # fmt: skip
        torch.softmax(masters_in, -1, out=masters)
        self.spread(torch.cumsum(masters, -1, out=sums), chunks)
        torch.sub(one, I, out=I)
        torch.tanh(g_in, out=g)
        gates.sigmoid_()
        torch.mul(F, I, out=overlap)
        torch.sub(levels, wide, out=written).addcmul_(both, wide)
        torch.mul(write, g, out=memory).addcmul_(keep, c)
        torch.mul(o, torch.tanh(memory, out=squashed), out=output)

    def derivative(self, saved: Saved) -> Saved:
        """Slopes (…, B, 7H + 2n) of c' in c, F, −I; room for the masters; of c' in f, i and g's inputs
        and of h' in o's; of h' in c' (…, B, H); and the masters' softmaxes (…, B, 2, n).
        """
        masters, f, i, g, o, F, I, keep, write, before, squashed = saved  # noqa: E741
        n, H = masters.shape[-1], f.shape[-1]
        slopes = f.new_empty(*f.shape[:-1], 7 * H + 2 * n)
        of_c, of_F, of_I, _, of_f, of_i, of_g, of_o = slopes.split([H, H, H, 2 * n, H, H, H, H], -1)
        overlap = F * I
        shared = torch.addcmul(before * (1 - f), g, 1 - i)
        # ∂f̂/∂F = 1 − (1 − f) I and ∂î/∂F = −(1 − i) I; for I the other way round.
        of_c.copy_(keep)
        torch.addcmul(before, I, shared, value=-1, out=of_F)
        torch.mul(F, shared, out=of_I).sub_(g)
        sigmoid_slope(before * overlap, f, of_f)
        sigmoid_slope(g * overlap, i, of_i)
        tanh_slope(write, g, of_g)
        sigmoid_slope(squashed, o, of_o)
        slope = torch.empty_like(squashed)
        tanh_slope(o, squashed, slope)
        return slopes, slope, masters

    def gradients(
        self, coefficients: Saved, d_h: Tensor, d_c: Tensor | None
    ) -> tuple[Tensor, Tensor | None, list[Saved], Tensor | None]:
        """Gradients take the slopes' place."""
        slopes, slope, masters = coefficients
        n, H = masters.shape[-1], slope.shape[-1]
        of_state, of_z = slopes.split([3 * H, 2 * n + 4 * H], -1)
        of_masters, gates, of_o = of_z.split([2 * n, 3 * H, H], -1)
        of_state = of_state.unflatten(-1, (3, H))
        d_memory, inner = torch.empty_like(d_h), torch.empty_like(masters[0])
        shared = (d_h, d_memory, d_memory.unsqueeze(-2), torch.empty_like(inner), inner)
        steps = by_step(
            of_state, self.by_chunk(of_state[..., 1:, :]), gates.unflatten(-1, (3, H)), of_o,
            of_masters.unflatten(-1, (2, n)), slope, masters,
        )  # fmt: skip
        d_memories = of_state[..., 0, :].unbind()  # of the c before each step
        last = torch.zeros_like(d_h) if d_c is None else d_c
        after = (*d_memories[1:], last)
        steps = [(*shared, later, *step) for later, step in zip(after, steps, strict=True)]
        return of_z, None, steps, d_memories[0]

    def pull(self, *views: Tensor) -> None:
        """Of z and of the previous c."""
        (d_h, d_memory, wide, of_cumax, inner, d_c, of_state, of_levels, gates, of_o, of_masters,
         slope, masters) = views  # fmt: skip
        torch.addcmul(d_c, d_h, slope, out=d_memory)
        of_state.mul_(wide)
        gates.mul_(wide)
        of_o.mul_(d_h)
        self.sum(of_levels, of_cumax)
        of_masters.copy_(cumax_backward(of_cumax, masters, inner))


class UnevenCell(OrderedCell):
    """The same for chunks of different sizes, from which units were cut out."""

    def __init__(self, counts: Sequence[int]) -> None:
        super().__init__(1)
        of = [chunk for chunk, count in enumerate(counts) for _ in range(count)]
        shares = [[float(chunk == own) for own in of] for chunk in range(len(counts))]
        self.of = torch.tensor(shares, device="cpu")  # (chunks, H)

    def chunks(self, rows: int) -> int:
        """How many chunks there are."""
        return len(self.of)

    def levels(self, x: Tensor) -> Tensor:
        """Give each chunk's value (…, n) to its units, (…, H)."""
        return x @ self.of.to(x)

    def by_chunk(self, x: Tensor) -> Tensor:
        """View of units (…, H) that `spread` fills and `sum` reads."""
        return x

    def spread(self, x: Tensor, out: Tensor) -> None:
        """`levels` into a view `by_chunk`."""
        torch.matmul(x, self.of.to(x), out=out)

    def sum(self, x: Tensor, out: Tensor) -> None:
        """Sums over the units of each chunk of a view `by_chunk`, (…, n)."""
        torch.matmul(x, self.of.to(x).T, out=out)


def cumax_backward(gradient: Tensor, softmax: Tensor, inner: Tensor) -> Tensor:
    """Gradient of cumsum(softmax(z)) with respect to z, all (…, n); `inner` is room for as much.

    Of the softmax it is each entry's sum with those after it, and less the whole sum is as good: what
    is the same for all entries of a softmax moves nothing.
    """
    torch.sub(gradient, torch.cumsum(gradient, -1, out=inner), out=inner)
    back: Tensor = torch._softmax_backward_data(inner, softmax, -1, softmax.dtype)
    return back


class OrderedMemory(LayerTangent):
    """∂c'/∂h: the three gates that write, as row scalings, and both masters through cumax.

    `into` (T, B, 2, H): ∂c'/∂F and −∂c'/∂I; `masters` (T, B, 2, n): their softmaxes; `weights` (2, n,
    H): their recurrent weights.
    """

    def __init__(
        self,
        cell: OrderedCell,
        gates: RowScaled,
        masters: Tensor,
        weights: Tensor,
        into: Tensor,
    ) -> None:
        self.layer, self.size = gates.layer, gates.size
        self.cell, self.gates = cell, gates
        self.masters, self.weights, self.into = masters, weights, into

    def block(self, t: int, rows: slice) -> Tensor:
        """The derivative at step t: (b, H, H)."""
        block = self.gates.block(t, rows)
        for k, weight in enumerate(self.weights):
            s = self.masters[t, rows, k].unsqueeze(-1)  # (b, n, 1)
            through = s * (weight - (s * weight).sum(-2, keepdim=True))  # softmax: (b, n, H)
            cumulated = self.cell.levels(through.cumsum(-2).mT).mT  # (b, H, H)
            block += self.into[t, rows, k].unsqueeze(-1) * cumulated
        return block


def ordered_layer(
    layer: int,
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weight: Tensor,
    bias: Tensor,
    cell: OrderedCell,
    *,
    kind: StateKind,
) -> tuple[Tensor, tuple[Tensor, Tensor], LayerTangent]:
    """Run one layer over drives x (T, B, 2n + 4H): outputs (T, B, H), new (h, c), its tangent."""
    outputs, kept = [], []
    for x_t in x:
        h, c, saved = cell.forward(x_t + h @ weight.T + bias, h, c)
        outputs.append(h)
        kept.append(saved)
    stacked = tuple(torch.stack(parts) for parts in zip(*kept, strict=True))
    slopes, slope, masters = cell.derivative(stacked)
    n, H = masters.shape[-1], h.shape[-1]
    keep, into, _, into_gates, into_o = slopes.split([H, 2 * H, 2 * n, 3 * H, H], -1)
    W = weight[2 * n :].view(4, -1, weight.shape[1])  # (4, H, H): f, i, g, o
    gates = RowScaled(layer, W[:3], into_gates.unflatten(-1, (3, H)))
    memory = OrderedMemory(
        cell, gates, masters, weight[: 2 * n].view(2, n, -1), into.unflatten(-1, (2, H))
    )
    output = RowScaled(layer, W[3:], into_o.unsqueeze(-2))
    tangent = Memory(layer, memory, output, slope, keep, kind)
    return torch.stack(outputs), (h, c), tangent
