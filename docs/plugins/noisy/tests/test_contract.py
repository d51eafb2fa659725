import pytest

from hyperprune.testing import check, check_in_run, contributions


@pytest.mark.parametrize("item", contributions("hyperprune-noisy"), ids=str)
def test_contract(item):
    check(item)


@pytest.mark.parametrize("item", contributions("hyperprune-noisy"), ids=str)
def test_a_run_uses_it(item):
    check_in_run(item)
