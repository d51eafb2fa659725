"""The tabular benchmark: train once, then replay any search and any distance in seconds."""
