# SPDX-License-Identifier: Apache-2.0
"""The log density of a mixture of bivariate normals, and expectations of it under a mixture.

Mixtures come as their three tensors, see `MotionMixture`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from fpt_ros.model.normals import weighted_sum

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_LOG_2PI = math.log(2 * math.pi)
FEW_RINGS = (4, 6, 8, 8, 8, 8, 6)
"""Nodes on each ring around a component's mean, from within."""
MANY_RINGS = (24,) * 16
_REACH = 4.5  # standard deviations


class LogDensity:
    """Log density of mixtures at x, y, which have `more` dimensions before those of the mixtures.

    The components' dimension comes first here, so that sums over it are sums of whole rows.
    """

    def __init__(
        self,
        logits: Float[Tensor, "*points k"],
        locs: Float[Tensor, "*points k 2"],
        scale_tril: Float[Tensor, "*points k 2 2"],
        more: int = 0,
    ) -> None:
        def rows(values: Tensor, trailing: int) -> tuple[Tensor, ...]:
            """For each of the trailing numbers [k, ..., *points]."""
            first = values.flatten(-trailing).movedim((-1, -2), (0, 1)).contiguous()
            return first.reshape(*first.shape[:2], *[1] * more, *first.shape[2:]).unbind(0)

        self.components = logits.shape[-1]
        (logits,) = rows(logits[..., None], 1)
        self.x, self.y = rows(locs, 1)
        self.first, _, self.below, self.second = rows(scale_tril, 2)
        self.inverses = self.first.reciprocal(), self.second.reciprocal()
        self.log_weight = logits - (self.first * self.second).log() - _LOG_2PI

    def __call__(
        self, x: Float[Tensor, "*#points"], y: Float[Tensor, "*#points"]
    ) -> Float[Tensor, "*points"]:
        u = (x - self.x) * self.inverses[0]
        v = torch.addcmul(y - self.y, self.below, u, value=-1) * self.inverses[1]
        component = torch.addcmul(self.log_weight, u, u, value=-0.5)
        component = torch.addcmul(component, v, v, value=-0.5)
        # As logsumexp, in fewer passes: no component is infinitely unlikely everywhere.
        highest = component.detach().amax(0)
        return (component - highest).exp().sum(0).log() + highest


def expected_log_ratio(
    weights: Float[Tensor, "*points k"],
    rings: tuple[int, ...],
    density: LogDensity,
    other: LogDensity | None = None,
) -> Float[Tensor, "*points"]:
    """Expectation of log(density / other), or of log(density), under the first density.

    Args:
        weights: of the first density's components.
        rings: of nodes, see `FEW_RINGS`.
        density: with 1 dimension more than the mixtures have, as has the other: the nodes'.
    """
    nodes, node_weights = _normal_nodes(rings, weights.device)
    expected = []
    for k in range(density.components):

        def log_ratio(node: Tensor, k: int = k) -> Tensor:
            u, v = node.unbind(1)
            x = density.x[k] + density.first[k] * u
            y = density.y[k] + density.below[k] * u + density.second[k] * v
            return density(x, y) if other is None else density(x, y) - other(x, y)

        shape = weights.shape[:-1]
        expected.append(weighted_sum(log_ratio, nodes, node_weights, shape, density.components))
    return (weights * torch.stack(expected, -1)).sum(-1)


@cache
def _normal_nodes(
    rings: tuple[int, ...], device: torch.device
) -> tuple[Float[Tensor, "nodes 2"], Float[Tensor, "nodes"]]:
    """Points and weights whose weighted sum is an expectation under the standard normal.

    On rings rather than a grid, which lie closer near the middle: the log density of a mixture
    changes quickly where a narrow component lies inside a wide one. Exact for polynomials of second
    degree, so for the entropy and the divergence of single normals.
    """
    z, weight = np.polynomial.legendre.leggauss(len(rings))
    z = math.asinh(_REACH) / 2 * (z + 1)
    radius = np.sinh(z)
    weight = weight * np.cosh(z) * radius * np.exp(-(radius**2) / 2)
    weight /= weight.sum()
    radius *= math.sqrt(2 / (weight @ radius**2))
    nodes, weights = [], []
    for ring, count in enumerate(rings):
        angle = 2 * math.pi / count * (np.arange(count) + ring % 2 / 2)
        nodes.append(radius[ring] * np.stack([np.cos(angle), np.sin(angle)], -1))
        weights.append(np.full(count, weight[ring] / count))
    with torch.inference_mode(False):  # else nothing that uses them could have gradients
        return (
            torch.from_numpy(np.concatenate(nodes)).to(device),
            torch.from_numpy(np.concatenate(weights)).to(device),
        )
