"""A network as C99: one header, one source, no heap, no dependency but C's own library.

The traced step of any model is translated operation by operation (`program`), its constant matrices
packed in the form that suits a small device (`matrices`), written as text (`source`), and where a compiler
is found compiled and held against the model (`check`).
"""

from __future__ import annotations

from hyperprune.export.c.write import CExport, write_c

__all__ = ["CExport", "write_c"]
