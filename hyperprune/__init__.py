"""hyperprune: find how to prune a recurrent network.

    import hyperprune

    result = hyperprune.run("quickstart")             # a shipped name, a path, or a Recipe
    result = hyperprune.load_run("runs/quickstart")   # later
    print(result.best.configuration, result.best.valid_perplexity, result.dense_perplexity)

    winner = hyperprune.load_winner("runs/quickstart")
    print(winner.score("a text of your own").perplexity, *winner.generate("the", words=20))

Everything named here is imported when it is first used, so `import hyperprune` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from hyperprune.hookspecs import API_VERSION, hookimpl, hookspec

if TYPE_CHECKING:
    from hyperprune.export import load_candidate, load_dense, load_exported, load_winner
    from hyperprune.judgement.frames import RunData
    from hyperprune.judgement.result import CandidateResult, RunResult
    from hyperprune.lyapunov import LyapunovSpectrum, lyapunov_spectrum
    from hyperprune.pipeline.run import load_run, resume, run
    from hyperprune.recipe import load_recipe
    from hyperprune.sources import load_network, search  # type: ignore[no-redef]
    from hyperprune.sparsity import SparseTraining
    from hyperprune.study import Study, Trial, lsh

__version__ = "0.2.0"

__all__ = [
    "API_VERSION",
    "CandidateResult",
    "LyapunovSpectrum",
    "RunData",
    "RunResult",
    "SparseTraining",
    "Study",
    "Trial",
    "hookimpl",
    "hookspec",
    "load_candidate",
    "load_dense",
    "load_exported",
    "load_network",
    "load_recipe",
    "load_run",
    "load_winner",
    "lsh",
    "lyapunov_spectrum",
    "resume",
    "run",
    "search",
]

_HOME = {
    "run": "hyperprune.pipeline.run",
    "resume": "hyperprune.pipeline.run",
    "load_run": "hyperprune.pipeline.run",
    "load_winner": "hyperprune.export",
    "load_candidate": "hyperprune.export",
    "load_dense": "hyperprune.export",
    "load_exported": "hyperprune.export",
    "load_recipe": "hyperprune.recipe",
    "RunData": "hyperprune.judgement.frames",
    "RunResult": "hyperprune.judgement.result",
    "CandidateResult": "hyperprune.judgement.result",
    "SparseTraining": "hyperprune.sparsity",
    "Study": "hyperprune.study",
    "Trial": "hyperprune.study",
    "lsh": "hyperprune.study",
    "search": "hyperprune.sources",
    "load_network": "hyperprune.sources",
    "LyapunovSpectrum": "hyperprune.lyapunov",
    "lyapunov_spectrum": "hyperprune.lyapunov",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hyperprune' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
