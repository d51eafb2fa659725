"""hyperprune: find how to prune a recurrent network.

    import hyperprune

    result = hyperprune.run("quickstart")             # a shipped name, a path, or a Recipe
    result = hyperprune.load_run("runs/quickstart")   # later
    print(result.best.configuration, result.best.valid_perplexity, result.dense_perplexity)

Everything named here is imported when it is first used, so `import hyperprune` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperprune.hookspecs import API_VERSION, hookimpl, hookspec

if TYPE_CHECKING:
    from hyperprune.api import load_recipe, load_run, resume, run
    from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum
    from hyperprune.result import CandidateResult, RunResult
    from hyperprune.sparsity import SparseTraining

__version__ = "0.1.0"

__all__ = [
    "API_VERSION",
    "CandidateResult",
    "LyapunovSpectrum",
    "RunResult",
    "SparseTraining",
    "hookimpl",
    "hookspec",
    "load_recipe",
    "load_run",
    "lyapunov_spectrum",
    "resume",
    "run",
]

_HOME = {
    "run": "hyperprune.api",
    "resume": "hyperprune.api",
    "load_run": "hyperprune.api",
    "load_recipe": "hyperprune.api",
    "RunResult": "hyperprune.result",
    "CandidateResult": "hyperprune.result",
    "SparseTraining": "hyperprune.sparsity",
    "LyapunovSpectrum": "hyperprune.lyapunov",
    "lyapunov_spectrum": "hyperprune.lyapunov",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hyperprune' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
