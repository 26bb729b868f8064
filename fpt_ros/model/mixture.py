# SPDX-License-Identifier: Apache-2.0
"""Mixtures of bivariate normals over a point's displacement: what the model predicts."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import torch
from einops import einsum
from torch import Tensor

from fpt_ros.model.log_density import FEW_RINGS, MANY_RINGS, LogDensity, expected_log_ratio
from fpt_ros.model.mean_shift import highest_mode
from fpt_ros.model.normals import FAR, binormal_cdf, mass_in_disc, mean_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jaxtyping import Float


@dataclasses.dataclass(frozen=True, eq=False)
class MotionMixture:
    """For each point of any leading shape, K normals over its displacement (x right, y down).

    The unit of displacements is the model's (sides of the square view) or, from the predictor,
    pixels. All tensors are float64. Index, iterate and measure it (`len`) like a tensor, on the
    leading dimensions. Every answer is differentiable, and is computed without looking at values:
    a GPU is not waited for, unless a docstring says so.

    `a == b` says whether all their numbers and shapes are equal (and waits for the device). So
    mixtures, whose tensors may be written to, cannot be hashed.
    """

    logits: Float[Tensor, "*points k"]
    """Log weights, normalised."""
    locs: Float[Tensor, "*points k 2"]
    """Means of the components."""
    scale_tril: Float[Tensor, "*points k 2 2"]
    """Lower Cholesky factors of the components' covariances."""

    @property
    def shape(self) -> torch.Size:
        """The leading shape: one mixture each."""
        return self.logits.shape[:-1]

    def __len__(self) -> int:
        """The first leading dimension.

        Raises:
            TypeError: a single mixture, as a 0-d tensor.
        """
        if not self.shape:
            raise TypeError("len() of a single mixture: it has no leading dimension")
        return self.shape[0]

    def __iter__(self) -> Iterator[MotionMixture]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> MotionMixture:
        """Mixtures picked along the leading dimensions; an ellipsis stands for those alone.

        As with tensors, numbers, slices, None and an ellipsis give views; lists and tensors copy.

        Raises:
            IndexError: the index reaches beyond the leading dimensions.
        """
        index = index if isinstance(index, tuple) else (index,)
        self.logits.select(-1, 0)[index]  # raises where the components would be reached
        if not any(part is ... for part in index):
            return self._map(lambda tensor, _: tensor[index])
        return self._map(lambda tensor, trailing: tensor[index + (slice(None),) * trailing])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MotionMixture):
            return NotImplemented
        pairs = [(vars(self)[name], vars(other)[name]) for name in ("logits", "locs", "scale_tril")]
        return self is other or all(torch.equal(a, b.to(a.device)) for a, b in pairs)

    __hash__ = None  # type: ignore[assignment]

    def to(self, device: torch.device | str) -> MotionMixture:
        """The same mixtures on another device."""
        return self._map(lambda tensor, _: tensor.to(device))

    def unflatten(self, dim: int, sizes: tuple[int, ...]) -> MotionMixture:
        """The same mixtures with one of the leading dimensions (from 0) as several."""
        return self._map(lambda tensor, _: tensor.unflatten(dim, sizes))

    def detach(self) -> MotionMixture:
        """The same mixtures, on the same memory, without gradients."""
        return self._map(lambda tensor, _: tensor.detach())

    def scaled(self, factor: Float[Tensor, "2"]) -> MotionMixture:
        """The mixtures of the displacements times `factor` (x, y): a change of units.

        A diagonal factor keeps Cholesky factors lower triangular, so it scales their rows.
        """
        factor = factor.to(self.locs)
        return MotionMixture(self.logits, self.locs * factor, self.scale_tril * factor[:, None])

    def widened(self, factor: float | Float[Tensor, "*#points 1 1 1"]) -> MotionMixture:
        """The mixtures with the standard deviations of all components times `factor`."""
        return MotionMixture(self.logits, self.locs, self.scale_tril * factor)

    @property
    def weights(self) -> Float[Tensor, "*points k"]:
        """Probabilities of the components."""
        return self.logits.exp()

    @property
    def covariances(self) -> Float[Tensor, "*points k 2 2"]:
        """Covariance of each component, squared units."""
        return self.scale_tril @ self.scale_tril.mT

    @property
    def mean(self) -> Float[Tensor, "*points 2"]:
        """Expected displacement."""
        return einsum(self.weights, self.locs, "... k, ... k d -> ... d")

    @property
    def covariance(self) -> Float[Tensor, "*points 2 2"]:
        """Covariance of the whole mixture: within the components and between their means."""
        apart = self.locs - self.mean[..., None, :]
        second = self.covariances + apart[..., :, None] * apart[..., None, :]
        return einsum(self.weights, second, "... k, ... k i j -> ... i j")

    @property
    def variance(self) -> Float[Tensor, "*points 2"]:
        """Variance of each coordinate (x, y) under the whole mixture, squared units."""
        return self.covariance.diagonal(dim1=-2, dim2=-1)

    @property
    def mode(self) -> Float[Tensor, "*points 2"]:
        """The displacement of highest density, of those that a climb from each mean ends at."""
        return highest_mode(self.logits, self.locs, self.scale_tril)

    def log_prob(self, flow: Float[Tensor, "*#points 2"]) -> Float[Tensor, "*points"]:
        """Log density at `flow` (broadcast against the leading shape), in 1 / unit^2."""
        density = self._log_density(max(0, flow.ndim - 1 - len(self.shape)))
        return density(*_finite(flow, self.locs).unbind(-1))

    def sample(
        self, n: int, generator: torch.Generator | None = None
    ) -> Float[Tensor, "n *points 2"]:
        """`n` independent displacements for each point."""
        uniform = self._random(torch.rand, (n, *self.shape), generator)
        normal = self._random(torch.randn, (n, *self.shape, 2), generator)
        return self.draw(uniform, normal)

    def draw(
        self, uniform: Float[Tensor, "*n *points"], normal: Float[Tensor, "*n *points 2"]
    ) -> Float[Tensor, "*n *points 2"]:
        """The displacements that these random numbers stand for.

        Args:
            uniform: from [0, 1), picks the component.
            normal: standard normal, the place in the component.
        """
        shape = uniform.shape
        edges = self.weights.cumsum(-1)[..., :-1]
        chosen = (uniform[..., None] >= edges).sum(-1)[..., None, None]
        locs = self.locs.expand(*shape, *self.locs.shape[-2:])
        tril = self.scale_tril.expand(*shape, *self.scale_tril.shape[-3:])
        loc = locs.gather(-2, chosen.expand(*shape, 1, 2)).squeeze(-2)
        factor = tril.gather(-3, chosen[..., None].expand(*shape, 1, 2, 2)).squeeze(-3)
        return loc + einsum(factor, normal, "... i j, ... j -> ... i")

    def cdf(self, flow: Float[Tensor, "*#points 2"]) -> Float[Tensor, "*points"]:
        """Probability that both coordinates are at most those of `flow` (broadcast)."""
        flow = flow.to(self.locs)[..., None, :]
        sigma = self.covariances.diagonal(dim1=-2, dim2=-1).sqrt()
        h, k = ((flow - self.locs) / sigma).clamp(-40, 40).unbind(-1)
        sine, cosine = (self.scale_tril[..., 1, :] / sigma[..., 1:]).unbind(-1)
        return self._average(binormal_cdf(h, k, sine, cosine))

    def probability_within(
        self, centre: Float[Tensor, "*#points 2"], radius: float | Float[Tensor, "*#points"]
    ) -> Float[Tensor, "*points"]:
        """Probability that the displacement lies within `radius` (same unit) of `centre`.

        Exact to 1e-8. To check a radius that is a tensor waits for its device.

        Raises:
            ValueError: a radius that is negative or not finite.
        """
        inside = mass_in_disc(
            self.locs - _finite(centre, self.locs)[..., None, :],
            self.scale_tril,
            _checked_radius(radius, self.locs)[..., None],
        )
        return self._average(inside).clamp(0, 1)

    def expected_distance(self, centre: Float[Tensor, "*#points 2"]) -> Float[Tensor, "*points"]:
        """Expected distance between the displacement and `centre` (same unit), to 1e-8 of it."""
        mean = self.locs - _finite(centre, self.locs)[..., None, :]
        return self._average(mean_length(mean, self.scale_tril))

    def entropy(self) -> Float[Tensor, "*points"]:
        """Differential entropy, nats (of a density in 1 / unit^2).

        By quadrature: exact for a single normal; for mixtures of overlapping normals of unlike
        shapes its error is 5e-5 at the median, 2e-3 at most of 200 tried.
        """
        return -expected_log_ratio(self.weights, MANY_RINGS, self._log_density(1))

    def kl_divergence(
        self,
        other: MotionMixture,
        samples: int | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*points"]:
        """Kullback-Leibler divergence of `other` from this, nats: E log(this / other) under this.

        By quadrature, so always the same: exact between single normals. Between what the embedded
        weights predict with a poke and without, its error is below 0.001 nats for half of the
        points and below 0.02 for 99 % of them (64 random displacements: 0.02 and 0.6).

        Args:
            samples: estimate it from so many random displacements instead, without a bias.
            generator: of these displacements.
        """
        if samples is None:
            more = 1 + len(self.shape) - len(other.shape)
            densities = self._log_density(1), other._log_density(more)
            return expected_log_ratio(self.weights, FEW_RINGS, *densities)
        flow = self.sample(samples, generator)
        return (self.log_prob(flow) - other.log_prob(flow)).mean(0)

    def _log_density(self, more: int) -> LogDensity:
        return LogDensity(self.logits, self.locs, self.scale_tril, more)

    def _average(self, per_component: Float[Tensor, "*points k"]) -> Float[Tensor, "*points"]:
        return (self.weights * per_component).sum(-1)

    def _random(self, draw: Any, shape: tuple[int, ...], generator: torch.Generator | None) -> Any:
        """Random numbers, drawn where the generator lives: seeds repeat on any device."""
        device = self.locs.device if generator is None else generator.device
        drawn = draw(shape, generator=generator, dtype=self.locs.dtype, device=device)
        return drawn.to(self.locs.device)

    def _map(self, change: Any) -> MotionMixture:
        return MotionMixture(
            change(self.logits, 1), change(self.locs, 2), change(self.scale_tril, 3)
        )


def join_mixtures(parts: Sequence[MotionMixture], dim: int = 0) -> MotionMixture:
    """Mixtures one after the other along one of their leading dimensions."""
    if len(parts) == 1:
        return parts[0]
    return MotionMixture(
        torch.cat([part.logits for part in parts], dim),
        torch.cat([part.locs for part in parts], dim),
        torch.cat([part.scale_tril for part in parts], dim),
    )


def _finite(flow: Tensor, like: Tensor) -> Tensor:
    """In float64, infinities replaced: differences and squares of what it returns are numbers."""
    return flow.to(like).clamp(-FAR, FAR)


def _checked_radius(radius: float | Tensor, like: Tensor) -> Tensor:
    if isinstance(radius, int | float):
        bad = [] if math.isfinite(radius) and radius >= 0 else [radius]
        filled = like.new_full((), radius)
    else:
        filled = torch.as_tensor(radius).to(like)
        bad = filled[~((filled >= 0) & filled.isfinite())].tolist()
    if bad:
        raise ValueError(f"radius is {bad[0]}: must be finite and at least 0")
    return filled


def mixture_from_head(
    raw: Float[Tensor, "*points k6"], components: int, flow_scale: float
) -> MotionMixture:
    """The head's K * 6 outputs as a mixture: K logits, K x 2 means, K x 3 Cholesky entries."""
    raw = raw.double()
    logits, locs, entries = raw.split([components, 2 * components, 3 * components], -1)
    first, below, second = entries.unflatten(-1, (components, 3)).unbind(-1)
    first, second = (_squareplus(torch.stack([first, second])) + 1e-4).unbind(0)
    tril = torch.stack([first, torch.zeros_like(first), below, second], -1)
    return MotionMixture(
        logits.log_softmax(-1),
        locs.unflatten(-1, (components, 2)) / flow_scale,
        tril.unflatten(-1, (2, 2)) / flow_scale,
    )


def _squareplus(v: Tensor) -> Tensor:
    return (v + (v**2 + 4).sqrt()) / 2
