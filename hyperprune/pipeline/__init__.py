"""A whole run, from recipe to verdict: `run.py` is the run on one screen, the rest its stages.

Imports every room below but `ui`, which watches. Called by `cli` and from Python.
"""
