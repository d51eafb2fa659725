"""Sparse training under other libraries' training loops, one module a library.

Each needs its library: `pip install 'hyperprune[lightning]'`, `'hyperprune[transformers]'`. Imports
`sparsity`; called by users.
"""
