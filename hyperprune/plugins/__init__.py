"""What is installed or named as a file, under which name, with which parameters and defaults.

Imports the hook specifications. Called wherever a name of a recipe becomes an object.
"""

from hyperprune.hookspecs import GROUP, HOOKS, KINDS
from hyperprune.plugins.contribution import Contribution, said
from hyperprune.plugins.files import in_use, is_file, read_file, use
from hyperprune.plugins.known import known_packages, normal, providers
from hyperprune.plugins.registry import Broken, Registry, registry

__all__ = [
    "GROUP",
    "HOOKS",
    "KINDS",
    "Broken",
    "Contribution",
    "Registry",
    "in_use",
    "is_file",
    "known_packages",
    "normal",
    "providers",
    "read_file",
    "registry",
    "said",
    "use",
]
