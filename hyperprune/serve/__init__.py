"""A live page of runs, read-only: `hyperprune serve`. Needs the extra `serve`.

Imports figures, reports and what runs tell. Called by `cli`.
"""
