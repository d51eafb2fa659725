"""What a result is worth: candidates against the dense reference, the winner, and the verdict.

Imports stored facts and spectra, never the pipeline. Called by `pipeline`, `ui` and `report`.
"""
