"""What is installed, under which name, with which parameters, and what is meant by default.

Imports the hook specifications. Called wherever a name of a recipe becomes an object.
"""

from hyperprune.hookspecs import GROUP, HOOKS, KINDS
from hyperprune.plugins.registry import (
    Broken,
    Contribution,
    Registry,
    known_packages,
    normal,
    providers,
    registry,
    said,
)

__all__ = [
    "GROUP",
    "HOOKS",
    "KINDS",
    "Broken",
    "Contribution",
    "Registry",
    "known_packages",
    "normal",
    "providers",
    "registry",
    "said",
]
