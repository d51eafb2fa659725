"""BLAS and LAPACK routines that torch has no call for: in place, and without the interpreter's lock.

They are SciPy's own, through the function pointers it exports (scipy.linalg.cython_blas). Names are
LAPACK's. A matrix (m, n) is given by its columns, which is how LAPACK keeps it: as a float64 CPU tensor
(n, m) whose last stride is 1.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from scipy.linalg import cython_blas, cython_lapack
from threadpoolctl import ThreadpoolController
from torch import Tensor

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_signature = ctypes.pythonapi.PyCapsule_GetName
_signature.restype, _signature.argtypes = ctypes.c_char_p, [ctypes.py_object]


def _routine(
    module: Any, name: str, arguments: int, prototype: Any = ctypes.CFUNCTYPE
) -> Callable[..., None]:
    """A routine of a SciPy module, which takes the addresses of all its arguments."""
    capsule = module.__pyx_capi__[name]
    made: Callable[..., None] = prototype(None, *[ctypes.c_void_p] * arguments)(
        _pointer(capsule, _signature(capsule))
    )
    return made


_trmm = _routine(cython_blas, "dtrmm", 11)
_trsm = _routine(cython_blas, "dtrsm", 11)
_gemm = _routine(cython_blas, "dgemm", 13)
_getrf = _routine(cython_lapack, "dgetrf", 6)
# With the lock: a thread that gives it away waits longer for it than a few moves take.
_laswp = _routine(cython_lapack, "dlaswp", 7, ctypes.PYFUNCTYPE)

_WIDE = b"int64" in _signature(cython_blas.__pyx_capi__["dgemm"])
_Int = ctypes.c_int64 if _WIDE else ctypes.c_int32
INTEGER = torch.int64 if _WIDE else torch.int32
"""What the library counts pivots in."""


@cache
def _int(value: int) -> Any:
    return ctypes.byref(_Int(value))


@cache
def _double(value: float) -> Any:
    return ctypes.byref(ctypes.c_double(value))


@cache
def _char(value: str) -> Any:
    return ctypes.byref(ctypes.c_char(value.encode()))


def trmm(B: Tensor, L: Tensor, *, unit: bool = True) -> None:
    """B (m, k) becomes B L, with L the lower triangle of the first k rows and columns given."""
    _triangular(_trmm, B, L, unit=unit)


def trsm(B: Tensor, L: Tensor, *, unit: bool = True) -> None:
    """B (m, k) becomes B L⁻¹, with L the lower triangle of the first k rows and columns given."""
    _triangular(_trsm, B, L, unit=unit)


def _triangular(routine: Callable[..., None], B: Tensor, L: Tensor, *, unit: bool) -> None:
    k, m = B.shape
    flags = _char("R"), _char("L"), _char("N"), _char("U" if unit else "N")
    ld_L, ld_B = _int(_leading(L)), _int(_leading(B))
    routine(*flags, _int(m), _int(k), _double(1.0), L.data_ptr(), ld_L, B.data_ptr(), ld_B)


def gemm(alpha: float, A: Tensor, B: Tensor, beta: float, C: Tensor) -> None:
    """C (m, n) becomes alpha A B + beta C, with A (m, k) and B (k, n)."""
    (n, m), k = C.shape, A.shape[0]
    plain, ld = _char("N"), [_int(_leading(matrix)) for matrix in (A, B, C)]
    of_A, of_B, of_C = A.data_ptr(), B.data_ptr(), C.data_ptr()
    sizes, factors = (_int(m), _int(n), _int(k)), (_double(alpha), _double(beta))
    _gemm(plain, plain, *sizes, factors[0], of_A, ld[0], of_B, ld[1], factors[1], of_C, ld[2])


def getrf(A: Tensor, pivots: Tensor) -> None:
    """A (m, n) becomes its factors P L U, rows exchanged as `pivots` (n,) say, counted from 1."""
    n, m = A.shape
    info = _Int()
    ld, exact = _int(_leading(A)), ctypes.byref(info)
    _getrf(_int(m), _int(n), A.data_ptr(), ld, pivots.data_ptr(), exact)


def laswp_order(order: Tensor, pivots: Tensor) -> None:
    """Exchange entries of an order (m,) of 64-bit integers, as `getrf` did rows: LAPACK only moves them."""
    one, m, last = _int(1), _int(order.shape[0]), _int(pivots.shape[0])
    _laswp(one, order.data_ptr(), m, one, last, pivots.data_ptr(), one)


def _leading(A: Tensor) -> int:
    """How far apart columns are, which LAPACK wants to be no less than their length."""
    n, m = A.shape
    return A.stride(0) if n > 1 else max(1, m)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


def threads(count: int) -> Any:
    """A context in which SciPy's library uses so many threads."""
    return _controller().limit(limits=count, user_api="blas")
