"""SciPy's routines on matrices by columns: cases small enough to check by hand."""

import threading

import pytest
import torch
from torch import Tensor

from hyperprune.lyapunov.qr import blas


def by_columns(rows: list[list[float]], *, inside: bool) -> Tensor:
    """A matrix by columns, alone or as a part of a larger one."""
    matrix = torch.tensor(rows, dtype=torch.float64).T.contiguous()
    if not inside:
        return matrix
    n, m = matrix.shape
    whole = torch.full((n + 2, m + 3), 9.0, dtype=torch.float64)
    whole[1 : n + 1, 2 : m + 2] = matrix
    return whole[1 : n + 1, 2 : m + 2]


@pytest.fixture(params=[False, True], ids=["alone", "inside"])
def inside(request) -> bool:
    return request.param


def test_a_product_with_a_lower_triangle(inside: bool) -> None:
    """[[1, 2], [3, 4]] [[1, 0], [5, 1]] = [[11, 2], [23, 4]]: what is not of the triangle is not read."""
    B = by_columns([[1, 2], [3, 4]], inside=inside)
    L = by_columns([[7, 8], [5, 7]], inside=inside)
    blas.trmm(B, L)
    assert B.T.tolist() == [[11, 2], [23, 4]]
    blas.trsm(B, L)
    assert B.T.tolist() == [[1, 2], [3, 4]]
    blas.trmm(B, L, unit=False)  # times [[7, 0], [5, 7]]
    assert B.T.tolist() == [[17, 14], [41, 28]]


def test_a_product_added(inside: bool) -> None:
    """2 [[1, 2], [3, 4], [5, 6]] (1, 1)ᵀ - (1, 2, 3)ᵀ = (5, 12, 19)ᵀ."""
    A = by_columns([[1, 2], [3, 4], [5, 6]], inside=inside)
    C = by_columns([[1], [2], [3]], inside=inside)
    blas.gemm(2.0, A, by_columns([[1], [1]], inside=inside), -1.0, C)
    assert C.T.tolist() == [[5], [12], [19]]


def test_elimination_and_its_exchanges(inside: bool) -> None:
    """Rows (0, 2), (4, 4), (1, 3): 4 comes first, then of (2, 2) the upper, which is row 1 again."""
    A = by_columns([[0, 2], [4, 4], [1, 3]], inside=inside)
    pivots = torch.empty(2, dtype=blas.INTEGER)
    blas.getrf(A, pivots)
    assert pivots.tolist() == [2, 2]
    assert A.T.tolist() == [[4, 4], [0, 2], [0.25, 1]]
    order = torch.arange(3)
    blas.laswp_order(order, pivots)
    assert order.tolist() == [1, 0, 2]
    B = by_columns([[1, 10], [2, 20], [3, 30]], inside=inside)
    assert B.T[order].tolist() == [[2, 20], [1, 10], [3, 30]]


def test_nothing_around_a_part_is_touched() -> None:
    L = by_columns([[1, 0], [5, 1]], inside=True)
    B = by_columns([[1, 2], [3, 4]], inside=True)
    whole = B._base
    assert whole is not None
    blas.trmm(B, L)
    blas.getrf(B, torch.empty(2, dtype=blas.INTEGER))
    around = torch.ones_like(whole, dtype=torch.bool)
    around[1:3, 2:4] = False
    assert (whole[around] == 9).all()


def test_routines_let_other_threads_run() -> None:
    """While one factors a matrix, the other counts; with the lock held it could not."""
    A, pivots = torch.eye(1500, dtype=torch.float64), torch.empty(1500, dtype=blas.INTEGER)
    counted, done = [], threading.Event()

    def factor() -> None:
        blas.getrf(A, pivots)
        counted.append(len(ticks))
        done.set()

    ticks: list[None] = []
    thread = threading.Thread(target=factor)
    thread.start()
    while not done.is_set():
        ticks.append(None)
    thread.join()
    assert counted[0] > 0
