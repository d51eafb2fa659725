"""The spectrum room alone: frames pushed through matrices."""

from collections.abc import Sequence

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hyperprune.lyapunov.qr import lu_memory as memory
from hyperprune.lyapunov.qr.cholesky import CholeskyFrame, cholesky_qr2
from hyperprune.lyapunov.qr.frame import Frame
from hyperprune.lyapunov.qr.graded import GradedFrame, Turned
from hyperprune.lyapunov.qr.householder import HouseholderFrame
from hyperprune.lyapunov.qr.parallel import make_frame
from hyperprune.lyapunov.qr.pivoted import PivotedFrame
from hyperprune.lyapunov.tangent import Block, MemoryBlock

CPU = torch.device("cpu")


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def plain(blocks: list[Tensor], k: int) -> list[Tensor]:
    """|diag R| of every step by torch's own QR."""
    Q = torch.eye(blocks[0].shape[-1], k, dtype=torch.float64).expand(len(blocks[0]), -1, -1)
    found = []
    for J in blocks:
        Q, R = torch.linalg.qr(J @ Q)
        found.append(R.diagonal(dim1=-2, dim2=-1).abs())
    return found


def logs(kind: type[Frame], blocks: Sequence[Block], k: int, settled: Sequence[int]) -> Tensor:
    """Σ_t ln R_t,ii (b, k) by a frame, settled after some of the steps and at the end."""
    dtype = torch.float32 if kind is GradedFrame else torch.float64
    first = blocks[0].dense() if isinstance(blocks[0], MemoryBlock) else blocks[0]
    frame = kind(len(first), first.shape[-1], k, dtype, CPU)
    total = torch.zeros(len(first), k, dtype=torch.float64)
    for step, block in enumerate(blocks):
        total += frame.advance(block).double().log()
        if step in settled:
            total += frame.settle()
    return total + frame.settle()


KINDS = [HouseholderFrame, CholeskyFrame, GradedFrame, PivotedFrame]


@pytest.mark.parametrize("settled", [(), (0, 2, 3)])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [1, 3, 6, 7, 8])
def test_every_frame_is_plain_qr(kind: type[Frame], k: int, settled: tuple[int, ...]) -> None:
    blocks = [randn(2, 8, 8, seed=t) for t in range(6)]
    expected = torch.stack(plain(blocks, k)).log().sum(0)
    tolerance = 2e-4 if kind is GradedFrame else 1e-11
    assert torch.allclose(logs(kind, blocks, k, settled), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("k", [3, 7, 8])
def test_memory_blocks(kind: type[Frame], k: int) -> None:
    blocks = [
        MemoryBlock(
            randn(3, 4, 4, seed=t),
            randn(3, 4, 4, seed=t + 90),
            randn(3, 4, seed=t + 50),
            randn(3, 4, seed=t + 70),
        )
        for t in range(5)
    ]
    expected = torch.stack(plain([block.dense() for block in blocks], k)).log().sum(0)
    tolerance = 2e-4 if kind is GradedFrame else 1e-10
    assert torch.allclose(logs(kind, blocks, k, ()), expected, rtol=0, atol=tolerance)


def test_elimination_by_hand() -> None:
    """J = [[0, 2], [4, 4]]: rows exchanged, L = I, U = [[4, 4], [0, 2]].

    QR of J: the first column is 4 long, the area 8, so R = 4, 2. Then X = [[0, 1], [1, 0]], which
    is orthonormal already: nothing is left to settle.
    """
    frame = PivotedFrame(1, 2, 2, torch.float64, CPU)
    assert frame.advance(torch.tensor([[[0.0, 2.0], [4.0, 4.0]]]).double()).tolist() == [[4.0, 2.0]]
    assert frame.columns().tolist() == [[[0.0, 1.0], [1.0, 0.0]]]
    assert frame.settle().tolist() == [[0.0, 0.0]]


@given(st.integers(2, 12), st.integers(1, 6), st.floats(0, 6), st.integers(0, 99), st.data())
def test_elimination_is_qr_on_graded_maps(n, steps, decades, seed, data) -> None:
    """Whatever the grading of the exponents, and wherever the sum is settled."""
    k = data.draw(st.integers(1, n))
    settled = data.draw(st.sets(st.integers(0, steps - 1)))
    scales = torch.logspace(0, -decades, n, dtype=torch.float64)[:, None]
    blocks = [
        scales * randn(2, n, n, seed=seed + t) + 0.1 * scales * torch.eye(n) for t in range(steps)
    ]
    expected = torch.stack(plain(blocks, k)).log().sum(0)
    found = logs(PivotedFrame, blocks, k, sorted(settled))
    assert torch.allclose(found, expected, rtol=0, atol=1e-6)


def memory_blocks(b: int, H: int, steps: int, seed: int = 0) -> list[MemoryBlock]:
    """Random blocks, with slopes and carries of either sign."""
    parts = [(b, H, H), (b, H, H), (b, H), (b, H)]
    return [
        MemoryBlock(*(randn(*shape, seed=seed + 10 * t + i) for i, shape in enumerate(parts)))
        for t in range(steps)
    ]


@pytest.mark.parametrize("halved", [0, 99], ids=["in halves", "whole"])
@given(st.integers(1, 9), st.integers(1, 5), st.floats(-4, 4), st.integers(0, 99), st.data())
def test_elimination_of_memories_is_qr(halved, H, steps, decades, seed, data) -> None:
    """Whether memories or hidden units lead, for all columns or some, wherever the sum is settled."""
    k = data.draw(st.integers(1, 2 * H))
    settled = data.draw(st.sets(st.integers(0, steps - 1)))
    blocks = memory_blocks(2, H, steps, seed)
    for block in blocks:
        block.D.mul_(10.0 ** min(decades, 0))
        block.d.mul_(10.0 ** min(-decades, 0))
    expected = torch.stack(plain([block.dense() for block in blocks], k)).log().sum(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "HALVED", halved)
        found = logs(PivotedFrame, blocks, k, sorted(settled))
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("halved", [0, 99], ids=["in halves", "whole"])
def test_pivots_of_memories_are_those_of_the_whole(halved: int, monkeypatch) -> None:
    """Both ways are the elimination of M, whose multipliers are at most 1."""
    monkeypatch.setattr(memory, "HALVED", halved)
    frame = PivotedFrame(2, 12, 12, torch.float64, CPU)
    X = torch.eye(12, dtype=torch.float64).expand(2, -1, -1)
    for block in memory_blocks(2, 6, 5):
        found = frame.advance(block)
        h, c = X.chunk(2, -2)
        M = torch.cat([block.D @ h, block.C @ h + block.d[..., None] * c], -2)
        P, L, U = torch.linalg.lu(M)
        assert torch.allclose(found, U.diagonal(dim1=-2, dim2=-1).abs(), rtol=1e-9)
        e, c = (P @ L).chunk(2, -2)
        X = torch.cat([e + block.slope[..., None] * c, c], -2)
        assert torch.allclose(frame.columns(), X, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("least", "bound"), [(1e-10, 1e-5), (1e-11, 1e-4)])
@pytest.mark.parametrize("at", [0, 1, 3])
def test_a_step_near_the_floor_and_those_after_it(at: int, least: float, bound: float) -> None:
    """Where a direction shrinks by 1e-10 or more, whether or not it was settled before."""
    blocks = [randn(2, 6, 6, seed=t) for t in range(5)]
    U, _, V = torch.linalg.svd(blocks[at])
    small = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, least]).double()
    blocks[at] = U @ (small[:, None] * V)
    steps = torch.stack(plain(blocks, 6))
    expected = steps.log().sum(0)
    for settled in ((), (0, 2), (at,)):
        assert torch.allclose(logs(PivotedFrame, blocks, 6, settled), expected, rtol=0, atol=bound)
        assert torch.allclose(
            logs(PivotedFrame, blocks, 5, settled), expected[:, :5], rtol=0, atol=1e-9
        )


@pytest.mark.parametrize("halved", [0, 99], ids=["in halves", "whole"])
def test_hidden_units_near_the_floor_beside_their_memories(halved: int, monkeypatch) -> None:
    """D of 1e-12 at two steps: half of the directions shrink so much, memories do not."""
    monkeypatch.setattr(memory, "HALVED", halved)
    blocks = memory_blocks(2, 3, 5)
    for at in (1, 2):
        blocks[at].D.mul_(1e-12)
    frame, graded = (kind(2, 6, 6, torch.float64, CPU) for kind in (PivotedFrame, GradedFrame))
    found = torch.stack([frame.advance(block) for block in blocks]).log().sum(0) + frame.settle()
    each = torch.stack([graded.advance(block) for block in blocks])
    assert (each[1:3, :, 3:] < 1e-9).all()
    assert torch.allclose(found, each.log().sum(0), rtol=0, atol=1e-9)


@pytest.mark.parametrize("kind", [HouseholderFrame, CholeskyFrame, PivotedFrame])
def test_noise_is_what_is_small_beside_row_and_column(kind: type[Frame]) -> None:
    """Three directions of four, a thousand times too large or small: the fourth is noise, 1e-13 is not."""
    thin = randn(1, 4, 3) @ randn(1, 3, 4, seed=1)
    for scale in (1e-20, 1.0, 1e5, 1e20):
        found = kind(1, 4, 4, torch.float64, CPU).advance(scale * thin)
        assert (found == 0).tolist() == [[False, False, False, True]]
    exact = torch.diag(torch.tensor([1.0, 1e-13, 1e-40])).double()[None]
    found = kind(1, 3, 3, torch.float64, CPU).advance(exact)
    assert found.tolist() == [pytest.approx([1.0, 1e-13, 1e-40])]


def test_a_memory_block_by_hand() -> None:
    """H = 1, D = 1, C = 3, slope = 2, d = 4: [[1 + 2·3, 2·4], [3, 4]] (1, 1)ᵀ = (15, 7)ᵀ."""
    one = torch.ones(1, 1, 1)
    block = MemoryBlock(1 * one, 3 * one, 2 * one[0], 4 * one[0])
    assert block.dense().tolist() == [[[7.0, 8.0], [3.0, 4.0]]]
    assert (block @ torch.ones(1, 2, 1)).tolist() == [[[15.0], [7.0]]]


def test_turned_pairs_lose_one_entry_and_no_length() -> None:
    block = MemoryBlock(
        randn(1, 3, 3), randn(1, 3, 3, seed=2), randn(1, 3, seed=1), randn(1, 3, seed=3)
    )
    block.slope[0, 0] = block.d[0, 0] = 0  # a pair that carries nothing
    turned = Turned.of(block)
    J = turned.dense()
    assert torch.equal(J[0, :3, 3:], torch.zeros(3, 3).double())
    assert torch.allclose(J.mT @ J, block.dense().mT @ block.dense())
    assert torch.allclose(turned.cosine**2 + turned.sine**2, torch.ones(1, 3).double())


def test_float32_keeps_the_digits_of_tiny_rows() -> None:
    """Rows that differ by 1e-6: sorted, they keep six digits, unsorted they would keep none."""
    scales = torch.tensor([1e-6, 1.0, 1e-3, 1.0, 1e-6, 1e-2, 1.0, 1e-5]).double()[:, None]
    blocks = [scales * randn(1, 8, 8, seed=t) for t in range(4)]
    graded = GradedFrame(1, 8, 8, torch.float32, CPU)
    unsorted = HouseholderFrame(1, 8, 8, torch.float32, CPU)
    worst, naive = 0.0, 0.0
    for J, expected in zip(blocks, plain(blocks, 8), strict=True):
        worst = max(worst, float((graded.advance(J).double() / expected - 1).abs().max()))
        naive = max(naive, float((unsorted.advance(J.float()).double() / expected - 1).abs().max()))
    assert worst < 1e-3 < naive


def test_cholesky_falls_back_where_it_must() -> None:
    """The second of three products has condition 1e10, far above 1/sqrt(eps)."""
    Y = randn(3, 6, 6)
    U, _, V = torch.linalg.svd(Y[1])
    Y[1] = U @ torch.diag(torch.logspace(0, -10, 6, dtype=torch.float64)) @ V
    assert cholesky_qr2(Y)[2].tolist() == [True, False, True]
    frame = CholeskyFrame(3, 6, 6, torch.float64, CPU)
    diagonal = frame.factor(Y)
    assert frame.fallbacks == 1
    assert torch.allclose(
        diagonal, torch.linalg.qr(Y).R.diagonal(dim1=-2, dim2=-1).abs(), rtol=1e-9
    )
    gram = frame.columns().mT @ frame.columns()
    assert (gram - torch.eye(6)).abs().max() < 1e-13


def test_a_rank_deficient_product_stays_finite_everywhere() -> None:
    J = torch.zeros(1, 4, 4, dtype=torch.float64)
    J[0, 0, 0] = 0.5
    for kind in (HouseholderFrame, CholeskyFrame, PivotedFrame):
        frame = kind(1, 4, 4, torch.float64, CPU)
        for _ in range(3):
            assert frame.advance(J).tolist() == [[0.5, 0.0, 0.0, 0.0]]


def test_the_platform_picks_its_frame() -> None:
    cuda = torch.device("cuda")
    picks = {(CPU, torch.float64): PivotedFrame, (CPU, torch.float32): GradedFrame}
    for (device, dtype), kind in picks.items():
        assert type(make_frame(1, 4, 4, dtype, device)) is kind
    if torch.cuda.is_available():
        assert type(make_frame(1, 4, 4, torch.float64, cuda)) is CholeskyFrame
