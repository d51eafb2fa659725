"""The tabular benchmark: train once, then replay any search and any distance in seconds.

Imports training and search, and the report's colours. Called by `cli.bench`.
"""
