"""The recurrent highway's cell: its pointwise step, gradient and tangent."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hyperprune.layers.scan import Saved
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

    def derivative(self, saved: Saved) -> Saved:
        """Slopes of the next state in each gate's input (…, B, gates, H), and the carry (…, B, H)."""
        h, new, transform, *own = saved
        carry = own[0] if own else 1 - transform
        through = transform * (1 - transform)
        slopes = [transform * (1 - new * new), (new if own else new - h) * through]
        if own:
            slopes.append(h * carry * (1 - carry))
        return torch.stack(slopes, -2), carry

    def pull(
        self, d_h: Tensor, d_c: Tensor | None, coefficients: Saved
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Gradients of z (B, G) and, by the carry, of the previous state (B, H)."""
        slopes, carry = coefficients
        return (d_h.unsqueeze(-2) * slopes).flatten(-2), d_h * carry, None


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
