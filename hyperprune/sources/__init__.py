"""A search over networks and data that somebody has in Python, without a recipe file or a plugin.

What is given becomes a recipe, arrays in files and one plugin file that says where the network stands;
the rest is a run like any other. Imports `pipeline`; called by users, and by that plugin file.
"""

from hyperprune.sources.losses import task_of
from hyperprune.sources.network import builder
from hyperprune.sources.search import load_network, search

__all__ = ["builder", "load_network", "search", "task_of"]
