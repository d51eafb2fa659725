"""What a journal may say: losses that the metric of its run can tell, and no others."""

import pytest

from hyperprune.errors import RunError
from hyperprune.store.facts import check_facts

EPOCH = {
    "epoch": 1,
    "train_loss": 1e5,
    "valid_loss": 1e5,
    "averaging": False,
    "largest": None,
    "floored": 0,
    "topology": {},
}


def journal(metric, **changes):
    """The data, then an epoch of the dense reference."""
    epoch = {**EPOCH, **changes}
    return [
        {"fact": "corpus", "name": "arrays", "sha256": "0" * 64, "metric": metric},
        {"fact": "trained", "candidate": "dense", "epochs": [epoch], "failure": None},
    ]


def test_losses_lie_within_what_their_metric_can_tell(tmp_path):
    error = {"name": "mse", "plural": "mses", "of": "cost"}
    check_facts(journal(error), tmp_path)
    check_facts(journal(None, train_loss=700.0, valid_loss=700.0), tmp_path)
    for said in (journal(None), journal(error, largest=1e5)):  # exp of either is beyond a float
        with pytest.raises(RunError, match=r"line 2: found a loss or an exponent of 100000\.0"):
            check_facts(said, tmp_path)
