"""Parameter counts of the published settings."""

import pytest
import torch

from hyperprune.builtin.models import MODELS
from hyperprune.model import parameter_count

PUBLISHED = {
    # 10,000·1500 + 2·(4·1500·3000 + 2·4·1500) + 10,000·1500 + 10,000
    ("stacked_lstm", 10_000): 66_034_000,
    # 10,000·830 + 10,000 tied; W 1660·830; ten R of 1660·830 and biases of 1660
    ("rhn", 10_000): 23_482_400,
    # 10,000·400 + 10,000 tied; (4H + 2H/10)·(inputs + H + 2) for 400→1150→1150→400
    ("on_lstm", 10_000): 25_232_180,
    # 33,278·300 + 33,278 tied; 4H·(inputs + H + 2) for 300→1150→1150→650; 650·15; 651·4500
    ("awd_lstm_mos", 33_278): 34_909_528,
}


@pytest.mark.parametrize(("name", "vocabulary"), PUBLISHED)
def test_parameter_count(name: str, vocabulary: int) -> None:
    with torch.device("meta"):
        model = MODELS[name](vocabulary)
    assert parameter_count(model) == PUBLISHED[name, vocabulary]
