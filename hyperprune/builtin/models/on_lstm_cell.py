"""The ordered-neurons LSTM cell: its pointwise step, gradient and tangent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperprune.layers.scan import Saved
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

    def levels(self, x: Tensor) -> Tensor:
        """Give each chunk's value (…, n) to what shares it, (…, n) here."""
        return x

    def summed(self, x: Tensor) -> Tensor:
        """Undo `levels` for a gradient: sums (…, n)."""
        return x

    def gates(self, z: Tensor) -> tuple[Tensor, ...]:
        """Split z (…, 2n + 4H): softmaxes (…, n) of both masters, then f, i, g, o (…, n, C)."""
        n = z.shape[-1] // (4 * self.chunk + 2)
        masters = torch.softmax(z[..., : 2 * n].view(*z.shape[:-1], 2, n), -1)
        gates = z[..., 2 * n :].view(*z.shape[:-1], 4, n, self.chunk)
        f, i, g, o = gates.unbind(-3)
        p, q = masters.unbind(-2)
        return p, q, torch.sigmoid(f), torch.sigmoid(i), torch.tanh(g), torch.sigmoid(o)

    def forward(self, z: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, Tensor, Saved]:
        """Next h and c (B, H), and what the gradient needs."""
        assert c is not None
        p, q, f, i, g, o = self.gates(z)
        F = self.levels(p.cumsum(-1)).unsqueeze(-1)  # (B, n, 1)
        I = 1 - self.levels(q.cumsum(-1)).unsqueeze(-1)  # noqa: E741
        overlap = F * I
        keep = torch.addcmul(F - overlap, f, overlap)  # (B, n, C)
        write = torch.addcmul(I - overlap, i, overlap)
        before = c.view(f.shape)
        memory = torch.addcmul(write * g, keep, before)
        squashed = torch.tanh(memory)
        new_h, new_c = (o * squashed).view(c.shape), memory.view(c.shape)
        return new_h, new_c, (p, q, f, i, g, o, F, I, keep, write, before, squashed)

    def derivative(self, saved: Saved) -> Saved:
        """Slopes of c' in f, i and g's inputs (…, B, 3, n, C) and in F and I (…, B, n, C); of h' in
        o's input and in c' (…, B, n, C); ∂c'/∂c; and both softmaxes (…, B, n).
        """
        p, q, f, i, g, o, F, I, keep, write, before, squashed = saved  # noqa: E741
        overlap = F * I
        into_f = before * overlap * f * (1 - f)
        into_i = g * overlap * i * (1 - i)
        into_g = write * (1 - g * g)
        # ∂f̂/∂F = 1 + (f − 1) I and ∂î/∂F = (i − 1) I; for I the other way round.
        into_F = before * (1 + (f - 1) * I) + g * (i - 1) * I
        into_I = before * (f - 1) * F + g * (1 + (i - 1) * F)
        into_o = squashed * o * (1 - o)
        slope = o * (1 - squashed * squashed)
        gates = torch.stack([into_f, into_i, into_g], -3)
        return gates, into_F, into_I, into_o, slope, keep, p, q

    def pull(
        self, d_h: Tensor, d_c: Tensor | None, coefficients: Saved
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Gradients of z (B, 2n + 4H) and of the previous c (B, H)."""
        gates, into_F, into_I, into_o, slope, keep, p, q = coefficients
        d_h = d_h.view(slope.shape)  # (B, n, C)
        d_memory = d_h * slope
        if d_c is not None:
            d_memory = d_memory + d_c.view(slope.shape)
        d_F = self.summed((d_memory * into_F).sum(-1))  # (B, n)
        d_I = self.summed((d_memory * into_I).sum(-1))
        d_z = torch.cat(
            [
                cumax_backward(d_F, p),
                cumax_backward(-d_I, q),
                (d_memory.unsqueeze(1) * gates).flatten(1),
                (d_h * into_o).flatten(1),
            ],
            1,
        )
        return d_z, None, (d_memory * keep).flatten(1)


class UnevenCell(OrderedCell):
    """The same for chunks of different sizes, from which units were cut out: every unit of the H is a
    group of its own, n in the shapes above, that is given the master gates of its chunk.
    """

    def __init__(self, counts: Sequence[int]) -> None:
        super().__init__(1)
        self.chunks = len(counts)
        of = [chunk for chunk, count in enumerate(counts) for _ in range(count)]
        shares = [[float(chunk == own) for own in of] for chunk in range(self.chunks)]
        self.of = torch.tensor(shares, device="cpu")  # (chunks, H)

    def levels(self, x: Tensor) -> Tensor:
        """Each chunk's value (…, chunks) for its units, (…, H)."""
        return x @ self.of.to(x)

    def summed(self, x: Tensor) -> Tensor:
        """Sums over the units (…, H) of each chunk."""
        return x @ self.of.to(x).T

    def gates(self, z: Tensor) -> tuple[Tensor, ...]:
        """Split z (…, 2·chunks + 4H): softmaxes (…, chunks) of both masters, then gates (…, H, 1)."""
        n = self.chunks
        masters = torch.softmax(z[..., : 2 * n].view(*z.shape[:-1], 2, n), -1)
        f, i, g, o = z[..., 2 * n :].view(*z.shape[:-1], 4, -1, 1).unbind(-3)
        p, q = masters.unbind(-2)
        return p, q, torch.sigmoid(f), torch.sigmoid(i), torch.tanh(g), torch.sigmoid(o)


def cumax_backward(gradient: Tensor, softmax: Tensor) -> Tensor:
    """Gradient of cumsum(softmax(z)) with respect to z, both (B, n)."""
    inner = gradient.flip(-1).cumsum(-1).flip(-1)  # of the softmax
    return softmax * (inner - (softmax * inner).sum(-1, keepdim=True))


class OrderedMemory(LayerTangent):
    """∂c'/∂h: the three gates that write, as row scalings, and both masters through cumax.

    `into_F`, `into_I` (T, B, n, C): ∂c'/∂F and ∂c'/∂I; `p`, `q` (T, B, n): the masters' softmaxes;
    `W_F`, `W_I` (n, H): their recurrent weights.
    """

    def __init__(
        self,
        cell: OrderedCell,
        gates: RowScaled,
        masters: tuple[Tensor, Tensor],
        weights: tuple[Tensor, Tensor],
        into: tuple[Tensor, Tensor],
    ) -> None:
        self.layer, self.size = gates.layer, gates.size
        self.cell, self.gates = cell, gates
        self.masters, self.weights, self.into = masters, weights, into

    def block(self, t: int, rows: slice) -> Tensor:
        """The derivative at step t: (b, H, H)."""
        block = self.gates.block(t, rows)
        for sign, softmax, weight, into in zip(
            (1, -1), self.masters, self.weights, self.into, strict=True
        ):
            s = softmax[t, rows].unsqueeze(-1)  # (b, n, 1)
            through = s * (weight - (s * weight).sum(-2, keepdim=True))  # softmax: (b, n, H)
            cumulated = self.cell.levels((sign * through.cumsum(-2)).mT).mT
            scaled = into[t, rows].unsqueeze(-1) * cumulated.unsqueeze(-2)  # (b, n, C, H)
            block += scaled.flatten(1, 2)
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
    into, into_F, into_I, into_o, slope, keep, p, q = cell.derivative(stacked)
    n = p.shape[-1]
    W = weight[2 * n :].view(4, -1, weight.shape[1])  # (4, H, H): f, i, g, o
    gates = RowScaled(layer, W[:3], into.flatten(-2))
    memory = OrderedMemory(cell, gates, (p, q), (weight[:n], weight[n : 2 * n]), (into_F, into_I))
    output = RowScaled(layer, W[3:], into_o.flatten(-2).unsqueeze(-2))
    tangent = Memory(layer, memory, output, slope.flatten(-2), keep.flatten(-2), kind)
    return torch.stack(outputs), (h, c), tangent
