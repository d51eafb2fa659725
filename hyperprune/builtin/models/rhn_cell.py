"""The recurrent highway's cell: its pointwise step, gradient and tangent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperprune.layers.scan import Saved, by_step
from hyperprune.layers.slopes import sigmoid_slope, tanh_slope
from hyperprune.lyapunov.tangent import LayerTangent
from hyperprune.lyapunov.tangent.cells import Product, RowScaled

GATES = {True: ("hidden", "transform"), False: ("hidden", "transform", "carry")}
"""Gates stacked in a highway's weights, by whether the carry is coupled to the transform."""


class HighwayCell:
    """s' = h ⊙ t + s ⊙ c with h = tanh, t = σ, and c = 1 − t (coupled) or its own σ.

    Zilly et al. 2017 (arXiv 1607.03474), equations 6 to 9; one depth of one time step.
    """

    def __init__(self, coupled: bool) -> None:
        self.coupled = coupled

    def forward(self, z: Tensor, h: Tensor, c: Tensor | None) -> tuple[Tensor, None, Saved]:
        """Next state, and the gates with the state that met them."""
        if self.coupled:
            z_h, z_t = z.chunk(2, -1)
            new, transform = torch.tanh(z_h), torch.sigmoid(z_t)
            return torch.lerp(h, new, transform), None, (h, new, transform)
        z_h, z_t, z_c = z.chunk(3, -1)
        new, transform, carry = torch.tanh(z_h), torch.sigmoid(z_t), torch.sigmoid(z_c)
        return torch.addcmul(new * transform, h, carry), None, (h, new, transform, carry)

    def room(self, z: Tensor, h: Tensor, c: Tensor | None) -> tuple[Saved, list[Saved]]:
        """The gates take the place of z."""
        saved = (h[:-1], *z.chunk(len(GATES[self.coupled]), -1))
        return saved, by_step(h[1:], *saved)

    def advance(self, *views: Tensor) -> None:
        """`forward` in place."""
        output, h, new, *gates = views
        new.tanh_()
        for gate in gates:
            gate.sigmoid_()
        if self.coupled:
            torch.lerp(h, new, gates[0], out=output)
        else:
            torch.mul(new, gates[0], out=output).addcmul_(h, gates[1])

    def derivative(self, saved: Saved) -> Saved:
        """Slopes of the next state in each gate's input (…, B, gates, H), and the carry (…, B, H)."""
        h, new, transform, *own = saved
        carry = own[0].clone() if own else 1 - transform
        slopes = h.new_empty(*h.shape[:-1], len(GATES[self.coupled]), h.shape[-1])
        into_new, into_transform, *into_carry = slopes.unbind(-2)
        tanh_slope(transform, new, into_new)
        sigmoid_slope(new if own else new - h, transform, into_transform)
        if own:
            sigmoid_slope(h, carry, into_carry[0])
        return slopes, carry

    def gradients(
        self, coefficients: Saved, d_h: Tensor, d_c: Tensor | None
    ) -> tuple[Tensor, Tensor | None, list[Saved], Tensor | None]:
        """Gradients take the coefficients' place."""
        slopes, carry = coefficients
        wide = d_h.unsqueeze(-2)  # (B, 1, H)
        return (
            slopes.flatten(-2),
            carry,
            [(*own, d_h, wide) for own in by_step(slopes, carry)],
            None,
        )

    def pull(self, *views: Tensor) -> None:
        """Of z, and by the carry of the previous state."""
        slopes, carry, d_h, wide = views
        slopes.mul_(wide)
        carry.mul_(d_h)


def highway_layer(
    layer: int,
    x: Tensor,
    s: Tensor,
    recurrent: Sequence[tuple[Tensor, Tensor]],
    coupled: bool,
) -> tuple[Tensor, tuple[Tensor], LayerTangent]:
    """Run one highway layer over drives x (T, B, G): outputs (T, B, H), new (s,), its tangent.

    `recurrent`: (R_k, b_k) of each depth. One depth is diag(a_H) R_H + diag(a_T) R_T (+ diag(a_C)
    R_C) + diag(c), and a time step the product of its depths.
    """
    cell, outputs = HighwayCell(coupled), []
    saved: list[list[Saved]] = [[] for _ in recurrent]
    for x_t in x:
        for k, (weight, bias) in enumerate(recurrent):
            z = s @ weight.T + bias
            s, _, kept = cell.forward(z + x_t if k == 0 else z, s, None)
            saved[k].append(kept)
        outputs.append(s)
    factors = []
    for k, (weight, _) in enumerate(recurrent):
        stacked = tuple(torch.stack(parts) for parts in zip(*saved[k], strict=True))
        W = weight.view(len(GATES[coupled]), -1, weight.shape[1])  # (gates, H, H)
        factors.append(RowScaled(layer, W, *cell.derivative(stacked)))
    return torch.stack(outputs), (s,), factors[0] if len(factors) == 1 else Product(factors)
