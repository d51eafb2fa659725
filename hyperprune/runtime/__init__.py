"""The process a run lives in: seeds, threads, signals.

Imports nothing above `errors`. Called by every room that computes.
"""
