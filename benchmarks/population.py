"""Several stacked LSTMs of one architecture trained together: their weights are stacked.

All read the same text. Every product is a batched one, of K matrices, and one optimiser step serves
all; masks, learning rates and dropout are each candidate's own. Stage `population` of benchmarks/gpu.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]
"""Parameters by the name that `stacked_lstm` gives them, each (K, …)."""


def stacked(models: Sequence[torch.nn.Module]) -> Weights:
    """Copy the parameters of K networks into one tensor (K, …) a name."""
    named = [dict(model.named_parameters()) for model in models]
    return {
        name: torch.stack([own[name].detach() for own in named]).requires_grad_()
        for name in named[0]
    }


class Population:
    """K stacked LSTMs, untied: loss, gradient, clipping and step of each, as if it were alone.

    `lr`: (K,). `masks`: of weights by name, (K, …) bool. `draws`: one generator a candidate, on the
    device, so that a candidate drops the same units whoever trains beside it.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        layers: int,
        dropout: float,
        lr: Tensor,
        clip: float,
        weight_decay: float,
        masks: Mapping[str, Tensor],
        draws: Sequence[torch.Generator],
    ) -> None:
        self.weights, self.layers, self.dropout = weights, layers, dropout
        self.lr, self.clip, self.weight_decay = lr, clip, weight_decay
        self.masks, self.draws = dict(masks), draws
        with torch.no_grad():
            for name, mask in self.masks.items():
                weights[name].mul_(mask)

    def initial_state(self, batch: int) -> list[Tensor]:
        """Zeros (K, B, H) for h and c of every layer."""
        hidden = self.weights["rnn.weight_hh_l0"]
        shape = (len(self.draws), batch, hidden.shape[2])
        return [hidden.new_zeros(shape) for _ in range(2 * self.layers)]

    def losses(
        self, tokens: Tensor, targets: Tensor, state: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Mean cross entropy (K,) of tokens and targets (T, B), and the new state."""
        w, new = self.weights, []
        x = w["encoder.weight"][:, tokens]  # (K, T, B, E)
        for layer in range(self.layers):
            h, c = state[2 * layer : 2 * layer + 2]
            x, h, c = self._layer(self._drop(x), h, c, layer)
            new += [h.detach(), c.detach()]
        flat = self._drop(x).flatten(1, 2)  # (K, T·B, H)
        logits = torch.baddbmm(w["decoder.bias"].unsqueeze(1), flat, w["decoder.weight"].mT)
        chosen = targets.flatten().expand(len(flat), -1)  # (K, T·B)
        nll = functional.cross_entropy(logits.flatten(0, 1), chosen.flatten(), reduction="none")
        return nll.view(len(flat), -1).mean(1), new

    def step(self, tokens: Tensor, targets: Tensor, state: Sequence[Tensor]) -> tuple[Tensor, list]:
        """One training step of all: losses (K,), and the state to go on from."""
        losses, state = self.losses(tokens, targets, state)
        leaves = list(self.weights.values())
        # A sum's gradient in one candidate's weights is that of its own loss.
        grads = list(torch.autograd.grad(losses.sum(), leaves))
        with torch.no_grad():
            squares = torch.stack([grad.flatten(1).square().sum(1) for grad in grads])  # (P, K)
            factor = (self.clip / (squares.sum(0).sqrt() + 1e-6)).clamp(max=1.0) * self.lr  # (K,)
            decay = 1 - self.lr * self.weight_decay
            for (name, leaf), grad in zip(self.weights.items(), grads, strict=True):
                shape = (-1, *[1] * (leaf.dim() - 1))
                leaf.mul_(decay.view(shape)).addcmul_(grad, factor.view(shape), value=-1)
                if name in self.masks:
                    leaf.mul_(self.masks[name])
        return losses.detach(), state

    def _layer(self, x: Tensor, h: Tensor, c: Tensor, layer: int) -> tuple[Tensor, Tensor, Tensor]:
        """One LSTM layer of all: inputs (K, T, B, E) to outputs (K, T, B, H) and the last h and c."""
        w_x, w_h, b_x, b_h = (
            self.weights[f"rnn.{name}_l{layer}"]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        drives = torch.baddbmm((b_x + b_h).unsqueeze(1), x.flatten(1, 2), w_x.mT)
        outputs = []
        for drive in drives.view(*x.shape[:3], -1).unbind(1):  # (K, B, 4H) a step
            i, f, g, o = torch.baddbmm(drive, h, w_h.mT).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            outputs.append(h)
        return torch.stack(outputs, 1), h, c

    def _drop(self, x: Tensor) -> Tensor:
        """Ordinary dropout of (K, T, B, ·), each candidate's from its own generator."""
        if not self.dropout:
            return x
        keep = torch.empty_like(x, requires_grad=False)
        for own, draw in zip(keep, self.draws, strict=True):
            own.bernoulli_(1 - self.dropout, generator=draw)
        return x * keep.div_(1 - self.dropout)
