# SPDX-License-Identifier: Apache-2.0
"""The mode of a mixture of bivariate normals: climbed to from each mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_MEAN_SHIFTS = 60
_NEWTON_STEPS = 4


def highest_mode(
    logits: Float[Tensor, "*points k"],
    locs: Float[Tensor, "*points k 2"],
    scale_tril: Float[Tensor, "*points k 2 2"],
) -> Float[Tensor, "*points 2"]:
    """The highest of the maxima of the density that a climb from each mean ends at.

    Mean shift (M. A. Carreira-Perpinan, IEEE Trans. PAMI 22, 2000) never goes down; the best of
    its ends is refined by Newton's method, whose last step also carries the gradient.
    """
    mixture = logits, locs, _precisions(scale_tril)
    with torch.no_grad():
        at = locs
        for _ in range(_MEAN_SHIFTS):
            at = _mean_shift(at, *mixture)
        best = _log_density(at, *mixture).argmax(-1)[..., None, None]
        at = at.gather(-2, best.expand(*best.shape[:-1], 2))
        for _ in range(_NEWTON_STEPS):
            at = _climb(at, *mixture)
    return _climb(at, *mixture)[..., 0, :]


def _precisions(scale_tril: Float[Tensor, "*points k 2 2"]) -> Float[Tensor, "*points k 2 2"]:
    first, below, second = (scale_tril[..., i, j] for i, j in ((0, 0), (1, 0), (1, 1)))
    row = torch.stack([-below / first, torch.ones_like(first)], -1) / second[..., None]
    top = torch.stack([1 / first, torch.zeros_like(first)], -1)
    return top[..., :, None] * top[..., None, :] + row[..., :, None] * row[..., None, :]


def _terms(at: Tensor, logits: Tensor, locs: Tensor, precisions: Tensor) -> tuple[Tensor, Tensor]:
    """Log density of each component at each place, but for a constant, and its gradient.

    Places [*points, s, 2]; results [*points, s, k] and [*points, s, k, 2].
    """
    towards = locs[..., None, :, :] - at[..., :, None, :]
    pull = (precisions[..., None, :, :, :] * towards[..., None, :]).sum(-1)
    det = precisions[..., 0, 0] * precisions[..., 1, 1] - precisions[..., 0, 1] ** 2
    log_weight = (logits + 0.5 * det.log())[..., None, :]
    return log_weight - 0.5 * (towards * pull).sum(-1), pull


def _log_density(at: Tensor, logits: Tensor, locs: Tensor, precisions: Tensor) -> Tensor:
    return _terms(at, logits, locs, precisions)[0].logsumexp(-1)


def _mean_shift(at: Tensor, logits: Tensor, locs: Tensor, precisions: Tensor) -> Tensor:
    """One step from each place [*points, s, 2]."""
    terms, pull = _terms(at, logits, locs, precisions)
    share = terms.softmax(-1)[..., None]
    stiffness = (share[..., None] * precisions[..., None, :, :, :]).sum(-3)
    return at + _solve(stiffness, (share * pull).sum(-2))


def _climb(at: Tensor, logits: Tensor, locs: Tensor, precisions: Tensor) -> Tensor:
    """One step of Newton's method, where the density is concave and the step does not go down."""
    terms, pull = _terms(at, logits, locs, precisions)
    share = terms.softmax(-1)[..., None]
    gradient = (share * pull).sum(-2)
    with torch.no_grad():
        second = precisions[..., None, :, :, :] - pull[..., :, None] * pull[..., None, :]
        curvature = (share[..., None] * second).sum(-3)
        curvature = curvature + gradient[..., :, None] * gradient[..., None, :]
        det = curvature[..., 0, 0] * curvature[..., 1, 1] - curvature[..., 0, 1] ** 2
        concave = (det > 0) & (curvature[..., 0, 0] > 0)
        safe = torch.where(concave[..., None, None], curvature, torch.eye(2).to(curvature))
        ahead = at + _solve(safe, gradient)
        before, after = (_log_density(p, logits, locs, precisions) for p in (at, ahead))
        good = concave & (after >= before - 1e-12)
    return torch.where(good[..., None], at + _solve(safe, gradient), at)


def _solve(matrix: Float[Tensor, "*shape 2 2"], vector: Float[Tensor, "*shape 2"]) -> Tensor:
    """Of a symmetric system of two equations."""
    a, b, c = matrix[..., 0, 0], matrix[..., 0, 1], matrix[..., 1, 1]
    x, y = vector.unbind(-1)
    det = a * c - b * b
    return torch.stack([c * x - b * y, a * y - b * x], -1) / det[..., None]
