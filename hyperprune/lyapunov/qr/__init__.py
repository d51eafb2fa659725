"""Frames pushed through products of matrices, and the R factors they leave: knows only matrices.

Imports `lyapunov.tangent`'s blocks. Called by `lyapunov.spectrum`.
"""
