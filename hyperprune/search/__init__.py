"""Search: the space, what is known of it, and the plan of rounds.

Imports nothing above `errors`. Called by `recipe`, `pipeline`, `judgement` and searchers. The package itself
can be called: `hyperprune.search(…)` is a search over what is given in Python (`hyperprune.sources`).
"""

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class _Callable(ModuleType):
    """This package, which shares its name with a function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """See `hyperprune.sources.search`."""
        return import_module("hyperprune.sources").search(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
