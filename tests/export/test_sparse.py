"""A matrix is stored by what its active weights look like, and multiplies as itself."""

import pytest
import torch

from hyperprune.export.sparse import Csr, Part, Strips, sparse, sparse_product, sparse_rows


def matrix(high, wide, blocks, seed=1):
    """A random matrix (R, C), active where blocks of (a, b) are."""
    a, b, density = blocks
    draw = torch.Generator().manual_seed(seed)
    mask = torch.rand(-(-high // a), -(-wide // b), generator=draw) < density
    mask = mask.repeat_interleave(a, 0).repeat_interleave(b, 1)[:high, :wide]
    return torch.randn(high, wide, generator=draw) * mask


@pytest.mark.parametrize(
    ("weight", "kind"),
    [
        (matrix(50, 40, (8, 1, 0.3)), Strips),
        (matrix(50, 40, (16, 4, 0.3)), Strips),  # 50 rows: the last strip is cut
        (matrix(50, 40, (1, 8, 0.3)), Csr),
        (matrix(50, 40, (1, 1, 0.3)), Csr),
        (matrix(50, 40, (1, 40, 0.3)), Part),
        (matrix(50, 40, (50, 1, 0.3)), Part),
        (matrix(50, 40, (1, 1, 1.0)), Part),  # left dense
        (torch.zeros(50, 40), Part),
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
def test_a_matrix_multiplies_and_is_looked_up(weight, kind, batch):
    stored = sparse(weight)
    assert isinstance(stored, kind)
    x = torch.randn(batch, 40, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(sparse_product(stored)(x), x @ weight.t(), rtol=0, atol=1e-4)
    rows = torch.tensor([[3, 49, 0], [3, 17, 18]])
    assert torch.equal(sparse_rows(stored)(rows), weight[rows])


def test_strips_are_of_one_column():
    # rows 0 to 7 of columns 2 and 5: two strips; rows 8 to 15 of column 0: one
    weight = torch.zeros(16, 6)
    weight[:8, 2], weight[:8, 5], weight[8:, 0] = 1, 2, 3
    weight[:8, 3], weight[8:, 4] = 4, 5
    stored = sparse(weight)
    assert isinstance(stored, Strips)
    assert stored.columns.tolist() == [2, 3, 5, 0, 4]
    assert stored.starts.tolist() == [0, 3, 5]
    assert stored.values[:, 0].tolist() == [1, 4, 2, 3, 5]
