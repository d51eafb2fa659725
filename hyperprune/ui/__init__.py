"""What a person sees of a run: observers of its events, and tables of what it left.

Imports events and results, never the pipeline. Called by `cli`.
"""
