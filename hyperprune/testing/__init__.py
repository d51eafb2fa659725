"""What a plugin's tests need: tiny things, fixtures, and one conformance suite a kind.

    import pytest
    from hyperprune.testing import check, contributions

    @pytest.mark.parametrize("item", contributions("hyperprune-mine"), ids=str)
    def test_contract(item):
        check(item)

`pytest_plugins = ["hyperprune.testing.fixtures"]` in a conftest.py brings the fixtures.
"""

from hyperprune.testing.conformance import (
    NotTried,
    Verdict,
    check,
    check_in_run,
    contributions,
    verdict,
    verdicts,
)
from hyperprune.testing.tiny import (
    TinyModel,
    TinySequenceModel,
    tiny_arrays,
    tiny_comparison,
    tiny_corpus,
    tiny_history,
    tiny_recipe,
    tiny_run,
    tiny_sequences,
    tiny_spectrum,
    tiny_text,
)

__all__ = [
    "NotTried",
    "TinyModel",
    "TinySequenceModel",
    "Verdict",
    "check",
    "check_in_run",
    "contributions",
    "tiny_arrays",
    "tiny_comparison",
    "tiny_corpus",
    "tiny_history",
    "tiny_recipe",
    "tiny_run",
    "tiny_sequences",
    "tiny_spectrum",
    "tiny_text",
    "verdict",
    "verdicts",
]
