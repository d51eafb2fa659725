"""Every mistake gets one clear error, and nothing else."""

from typing import Any

import pytest
import torch
from torch import Tensor

from hyperprune.errors import SpectrumError
from hyperprune.lyapunov import lyapunov_spectrum
from hyperprune.model import StatePart

TOKENS = torch.zeros(20, 2, dtype=torch.int64)
FLOATS = torch.zeros(20, 2, 3)


class Pair:
    """A minimal model of two state tensors, which tests bend out of shape."""

    def initial_state(self, batch: int) -> tuple[Tensor, Tensor]:
        return torch.zeros(batch, 2), torch.zeros(batch, 2)

    def step(self, _: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        return torch.tanh(c), 0.5 * c + 0.1 * h


class Shrinks(Pair):
    def step(self, _: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return state[0][:, :1], state[1]


class FeedsBack(Pair):
    """Two layers by its own account, of which the lower one looks at the upper."""

    state_parts = (StatePart(0, "hidden", 2), StatePart(1, "hidden", 2))


class Missized(Pair):
    state_parts = (StatePart(0, "hidden", 2), StatePart(0, "memory", 3))


class Explodes(Pair):
    def step(self, _: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        return (state[0] + 1) ** 9, state[1]


@pytest.mark.parametrize(
    ("model", "inputs", "options", "message"),
    [
        (Pair(), torch.zeros(20), {}, r"inputs must be token ids \(T, B\) or .* not \(20,\)"),
        (Pair(), [1, 2], {}, "not list"),
        (Pair(), torch.zeros(20, 2, 3, dtype=torch.int64), {}, "floating point, not torch.int64"),
        (Pair(), TOKENS[:0], {}, "inputs are empty"),
        (Pair(), TOKENS[:, :0], {}, "inputs are empty"),
        (Pair(), FLOATS / 0, {}, "inputs hold NaN or infinity"),
        (Pair(), TOKENS, {"steps": 11}, "10 burn-in and 11 counted steps need 21 .* there are 20"),
        (Pair(), TOKENS[:10], {}, "too short"),
        (Pair(), TOKENS, {"k": 5}, "k = 5 exponents are asked for, but the state has 4"),
        (Pair(), TOKENS, {"k": 0}, "k must be at least 1, got 0"),
        (Pair(), TOKENS, {"steps": 0}, "steps must be at least 1"),
        (Pair(), TOKENS, {"burn_in": -1}, "burn_in must not be negative"),
        (Pair(), TOKENS, {"tolerance": 0.0}, "tolerance must be above 0"),
        (Pair(), TOKENS, {"tolerance": 0.1, "history": True}, "history needs a number of steps"),
        (Pair(), TOKENS, {"state_kind": "memory"}, "state_kind must be one of full, hidden"),
        (Pair(), TOKENS, {"protocol": "old"}, "protocol must be one of standard, published"),
        (Pair(), TOKENS, {"dtype": torch.float16}, "dtype must be one of torch.float64"),
        (Pair(), TOKENS, {"protocol": "published"}, 'has state_kind "hidden" only'),
        (Pair(), TOKENS, {"state_kind": "hidden"}, "declare state_parts"),
        (Pair(), TOKENS, {"state": torch.zeros(3, 2)}, r"must be \(B, n\) with B = 2"),
        (Shrinks(), TOKENS, {}, r"step must return .* \[\(2, 2\), \(2, 2\)\]; it returned"),
        (FeedsBack(), TOKENS, {}, "layer 0 depends on the previous state of layer 1"),
        (Missized(), TOKENS, {}, r"state_parts declare sizes \[2, 3\], the state has \[2, 2\]"),
        (Explodes(), TOKENS, {}, "the state is not finite"),
    ],
)
def test_one_clear_error(model: Any, inputs: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(SpectrumError, match=message):
        lyapunov_spectrum(model, inputs, **options)


def test_nan_weights_are_named(trained) -> None:
    model = trained("lstm", 1)
    weight = model.rnn.weight_hh_l0
    kept = weight[3, 4].item()
    with torch.no_grad():
        weight[3, 4] = torch.nan
    try:
        with pytest.raises(SpectrumError, match=r"parameter 'rnn\.weight_hh_l0' holds NaN"):
            lyapunov_spectrum(model, TOKENS)
    finally:
        with torch.no_grad():
            weight[3, 4] = kept


def test_a_derivative_that_is_not_finite() -> None:
    class Corner(Pair):
        """The root's slope at 0 is infinite, its value is not."""

        def step(self, _: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return state[0].sqrt(), state[1]

    with pytest.raises(SpectrumError, match="derivative is not finite"):
        lyapunov_spectrum(Corner(), TOKENS)
