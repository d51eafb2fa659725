"""The leading directions by elimination instead of orthogonalisation, the fastest on a CPU.

With P_t J_t X_{t−1} = L_t U_t and X_t = P_tᵀ L_t, the product of all Jacobians is X_T U_T … U_1, and
with X_T = Q R_e its R is R_e U_T … U_1. So the logs of U's diagonals add up to those of R's (Benettin
et al. 1980) once those of R_e are added, which takes one QR where a sum is wanted, not one a step.
Nothing is approximated: X_t spans what Q_t spans, and pivoting keeps it well conditioned (entries of
L are at most 1 in size), so each step has the digits that QR at each step has.
"""

from __future__ import annotations

from torch import Tensor

from hyperprune.lyapunov.elimination import DenseFactors, Factors
from hyperprune.lyapunov.frame import Frame, GradedFrame, Turned
from hyperprune.lyapunov.memory import MemoryFactors
from hyperprune.lyapunov.tangent import Block, MemoryBlock


class PivotedFrame(Frame):
    """The frame as the factors of elimination; float64 on a CPU.

    From the first pivot near the floor on, where U's diagonal cannot stand for R's, the group goes
    through Householder QR.
    """

    factors: Factors | None = None
    exact: GradedFrame | None = None
    due: Tensor | float = 0.0
    """What the factors split off since the last settlement lack, but for the frame as it is now."""

    def columns(self) -> Tensor:
        """The frame as explicit columns (b, n, k), not orthonormal before it went to Householder."""
        if self.exact is not None:
            return self.exact.columns()
        return self.start() if self.factors is None else self.factors.columns()

    def advance(self, block: Block) -> Tensor:
        """Push the frame through J (b, n, n): the diagonal of the factor split off, (b, k)."""
        if self.exact is not None:
            return self.exact.advance(block)
        if self.narrow:
            return self.factor(block @ self.columns())
        if self.factors is None:
            kind = MemoryFactors if isinstance(block, MemoryBlock) else DenseFactors
            self.factors = kind(self.b, self.n, self.k)
        diagonal = self.factors.step(block)
        if diagonal is not None:
            return diagonal
        if isinstance(block, MemoryBlock):
            turned = Turned.of(block)
            return self._orthonormal(turned @ self.columns(), turned)
        return self._orthonormal(block @ self.columns(), None)

    def factor(self, product: Tensor) -> Tensor:
        """Keep the unit lower factor of J X (b, n, k): |diag U| (b, k)."""
        if self.exact is not None:
            return self.exact.factor(product)
        if self.factors is None:
            self.factors = DenseFactors(self.b, self.n, self.k)
        assert isinstance(self.factors, DenseFactors)
        diagonal = self.factors.factor(product)
        return self._orthonormal(product, None) if diagonal is None else diagonal

    def settle(self) -> Tensor | float:
        """Logs (b, k) that turn the sum over factors since the last call into that over QR's R."""
        before, self.due = self.due, 0.0
        if self.exact is not None or self.factors is None:
            return before
        self.factors.release()
        own = self.factors.own().log()
        self.due = -own
        return before + own

    def _orthonormal(self, product: Tensor, turn: Turned | None) -> Tensor:
        """Go on with Householder reflectors, from J X on: |diag R| of this step (b, k)."""
        assert self.factors is not None
        own = self.factors.own()
        self.due, self.factors = self.due + own.log(), None
        self.exact = GradedFrame(self.b, self.n, self.k, self.dtype, self.device)
        self.exact.turn = turn
        factor = self.exact.factor if self.narrow else self.exact.advance  # J X is as good as a J
        return factor(product) / own
