"""A pair of controls that sample: removal by relative importance, growth by topology alone.

After Zhang, Cerretti, Zhao, Wu, Liao, Michieli & Cannistraci, *Brain network science modelling of
sparse neural networks enables Transformers and LLMs to perform as fully connected*, arXiv
2501.19107 (2025), "Cannistraci-Hebb training soft rule". Written from the definitions; a share of a
score is sampled without replacement by the Gumbel trick (Kool et al. 2019, arXiv 1903.06059).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hyperprune import hookimpl
from hyperprune.hookspecs import Contributions

if TYPE_CHECKING:
    from torch import Tensor

    from hyperprune.sparsity import TensorView

Temperature = Annotated[float, Field(gt=0, description="power of the score: high is greedy")]
TINY = 1e-30


def relative_importance(view: TensorView, *, temperature: Temperature = 1.0) -> Tensor:
    """Keep by lot, in proportion to (|w|/Σ row + |w|/Σ column)^T: Zhang et al. 2025.

    Relative importance (Zhang et al. 2024, "Plug-and-Play") does not let a row or a column of small
    weights lose all of them.
    """
    size = (view.weight * view.mask).abs().flatten(1)  # (rows, columns)
    rows = size.sum(1, keepdim=True).clamp_min(TINY)
    columns = size.sum(0, keepdim=True).clamp_min(TINY)
    importance = size / rows + size / columns
    return sampled(importance, temperature, view).view_as(view.weight)


def link_prediction(view: TensorView, *, temperature: Temperature = 1.0) -> Tensor:
    """Grow by lot, in proportion to the CH2-L3n score of a missing link: Zhang et al. 2025.

    A tensor is a bipartite graph of rows and columns. A missing link (u, v) scores
    Σ_z (1 + i_z) / (1 + e_z) over the nodes z of its paths of length 3, u–z–z'–v: i_z counts the
    links of z to other such nodes, e_z those to neither them nor u and v. No gradient is needed.
    """
    linked = view.mask.flatten(1).to(view.weight.dtype)  # A: (rows, columns)
    # A column z linked to u: i_z = rows that z shares with v, e_z = degree − i_z − 1 (u itself).
    columns = share(linked.t() @ linked, linked.sum(0))  # (columns z, columns v)
    rows = share(linked @ linked.t(), linked.sum(1)).t()  # (rows u, rows z)
    return sampled(linked @ columns + rows @ linked, temperature, view).view_as(view.weight)


def share(common: Tensor, degree: Tensor) -> Tensor:
    """(1 + i)/(1 + e) of node z (row) seen from a node of its own side (column); 0 off any path."""
    outside = (degree.unsqueeze(1) - common).clamp_min(1)
    return (1 + common) / outside * (common > 0)


def sampled(score: Tensor, temperature: float, view: TensorView) -> Tensor:
    """Perturb log scores so that the highest k are a draw in proportion to score^temperature."""
    uniform = score.new_empty(score.shape).uniform_(TINY, 1, generator=view.generator)
    gumbel = -(-uniform.log()).clamp_min(TINY).log()
    return score.clamp_min(TINY).log() * temperature + gumbel


@hookimpl
def hyperprune_removals() -> Contributions:
    """Offer the removal."""
    return {"relative_importance": relative_importance}


@hookimpl
def hyperprune_growths() -> Contributions:
    """Offer the growth."""
    return {"link_prediction": link_prediction}
