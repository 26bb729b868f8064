"""Mixtures of bivariate normals over a point's displacement: what the model predicts."""

from __future__ import annotations

import dataclasses
import math
from functools import cache, cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from einops import einsum, rearrange
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

LOG_2PI = math.log(2 * math.pi)
_REACH = 6.0  # standard deviations beyond which a normal's mass is below 2e-9


@dataclasses.dataclass(frozen=True)
class MotionMixture:
    """For each point of any leading shape, K normals over its displacement (x right, y down).

    The unit of displacements is the model's (sides of the square view) or, from the predictor,
    pixels. All tensors are float64. Index it like a tensor, on the leading dimensions.
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

    def __getitem__(self, index: Any) -> MotionMixture:
        """Mixtures picked along the leading dimensions; an ellipsis stands for those alone.

        Raises:
            IndexError: the index reaches beyond the leading dimensions.
        """
        index = index if isinstance(index, tuple) else (index,)
        picked = torch.arange(math.prod(self.shape), device=self.logits.device)
        picked = picked.reshape(self.shape)[index]
        return self._map(lambda tensor, trailing: tensor.flatten(0, -1 - trailing)[picked])

    def to(self, device: torch.device | str) -> MotionMixture:
        """The same mixtures on another device."""
        return self._map(lambda tensor, _: tensor.to(device))

    def unflatten(self, dim: int, sizes: tuple[int, ...]) -> MotionMixture:
        """The same mixtures with one of the leading dimensions (from 0) as several."""
        return self._map(lambda tensor, _: tensor.unflatten(dim, sizes))

    def scaled(self, factor: Float[Tensor, "2"]) -> MotionMixture:
        """The mixtures of the displacements times `factor` (x, y): a change of units.

        A diagonal factor keeps Cholesky factors lower triangular, so it scales their rows.
        """
        factor = factor.to(self.locs)
        return MotionMixture(self.logits, self.locs * factor, self.scale_tril * factor[:, None])

    @cached_property
    def weights(self) -> Float[Tensor, "*points k"]:
        """Probabilities of the components."""
        return self.logits.exp()

    @cached_property
    def covariances(self) -> Float[Tensor, "*points k 2 2"]:
        """Covariance of each component, squared units."""
        return self.scale_tril @ self.scale_tril.mT

    @cached_property
    def mean(self) -> Float[Tensor, "*points 2"]:
        """Expected displacement."""
        return einsum(self.weights, self.locs, "... k, ... k d -> ... d")

    @cached_property
    def covariance(self) -> Float[Tensor, "*points 2 2"]:
        """Covariance of the whole mixture: within the components and between their means."""
        apart = self.locs - self.mean[..., None, :]
        second = self.covariances + apart[..., :, None] * apart[..., None, :]
        return einsum(self.weights, second, "... k, ... k i j -> ... i j")

    def log_prob(self, flow: Float[Tensor, "*#points 2"]) -> Float[Tensor, "*points"]:
        """Log density at `flow` (broadcast against the leading shape), in 1 / unit^2."""
        x, y = self._standardise(flow).unbind(-1)
        log_det = self.scale_tril.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        component = -0.5 * (x**2 + y**2) - LOG_2PI - log_det
        return (self.logits + component).logsumexp(-1)

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
        chosen = (uniform[..., None] > edges).sum(-1)[..., None, None]
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
        return self._average(_binormal_cdf(h, k, sine, cosine))

    def probability_within(
        self, centre: Float[Tensor, "*#points 2"], radius: float | Float[Tensor, "*#points"]
    ) -> Float[Tensor, "*points"]:
        """Probability that the displacement lies within `radius` (same unit) of `centre`.

        Raises:
            ValueError: a radius that is negative or not finite.
        """
        radius = torch.as_tensor(radius).to(self.locs)
        if not bool(((radius >= 0) & radius.isfinite()).all()):
            raise ValueError(f"radius is {radius.min().item()}: must be finite and at least 0")
        variances, offsets = self._principal_axes(centre)
        minor, major = variances.sqrt().unbind(-1)
        across, along = offsets.unbind(-1)
        # Slices of the disc along the major axis have a closed form; they vary smoothly across
        # the minor one, where the substitution y = r sin(t) also removes the disc's round ends.
        r = radius[..., None].expand(minor.shape).clamp_min(torch.finfo(minor.dtype).tiny)
        low = ((across - _REACH * minor) / r).clamp(-1, 1).asin()
        high = ((across + _REACH * minor) / r).clamp(-1, 1).asin()
        t, weight = _quadrature(low, high, nodes=32)  # as exact as the reach
        half = r[..., None] * t.cos()
        ends = [(half - along[..., None]), (-half - along[..., None])]
        upper, lower = (torch.special.ndtr(end / major[..., None]) for end in ends)
        standard = (r[..., None] * t.sin() - across[..., None]) / minor[..., None]
        density = torch.exp(-0.5 * standard**2) / (math.sqrt(2 * math.pi) * minor[..., None])
        inside = (weight * density * half * (upper - lower)).sum(-1)
        return self._average(inside).clamp(0, 1)

    def expected_distance(self, centre: Float[Tensor, "*#points 2"]) -> Float[Tensor, "*points"]:
        """Expected distance between the displacement and `centre` (same unit)."""
        variances, offsets = self._principal_axes(centre)
        # |d| = 1/sqrt(pi) * integral over u > 0 of (1 - exp(-u^2 |d|^2)) / u^2, whose expectation
        # under a normal is in closed form; u = tan(t) / scale makes the range finite.
        scale = (variances.sum(-1) + (offsets**2).sum(-1)).sqrt()
        t, weight = _quadrature(scale.new_zeros(()), scale.new_tensor(math.pi / 2))
        weight, tan2 = weight / t.sin() ** 2, t.tan() ** 2
        variance_a, variance_b = (variances / scale[..., None] ** 2)[..., None].unbind(-2)
        offset_a, offset_b = ((offsets / scale[..., None]) ** 2)[..., None].unbind(-2)
        spread_a, spread_b = (1 + 2 * tan2 * variance for variance in (variance_a, variance_b))
        exponent = tan2 * (offset_a / spread_a + offset_b / spread_b)
        exponent = exponent + 0.5 * (spread_a * spread_b).log()
        integral = -torch.expm1(-exponent) @ weight
        return self._average(scale * integral / math.sqrt(math.pi))

    def kl_divergence(
        self, other: MotionMixture, samples: int = 64, generator: torch.Generator | None = None
    ) -> Float[Tensor, "*points"]:
        """Kullback-Leibler divergence of `other` from this, nats: a Monte Carlo estimate.

        Without noise, this is the expectation under this mixture of log(this / other); with few
        samples the estimate of a small divergence can be slightly below zero.
        """
        flow = self.sample(samples, generator)
        return (self.log_prob(flow) - other.log_prob(flow)).mean(0)

    def _standardise(self, flow: Float[Tensor, "*#points 2"]) -> Float[Tensor, "*points k 2"]:
        apart = flow.to(self.locs)[..., None, :] - self.locs
        x = apart[..., 0] / self.scale_tril[..., 0, 0]
        y = (apart[..., 1] - self.scale_tril[..., 1, 0] * x) / self.scale_tril[..., 1, 1]
        return torch.stack([x, y], -1)

    def _principal_axes(
        self, centre: Float[Tensor, "*#points 2"]
    ) -> tuple[Float[Tensor, "*points k 2"], Float[Tensor, "*points k 2"]]:
        """Each component's variances, minor axis first, and its mean from `centre` along them."""
        first, below, second = (self.scale_tril[..., i, j] for i, j in ((0, 0), (1, 0), (1, 1)))
        half_apart, both = (first**2 - below**2 - second**2) / 2, first * below
        major = (first**2 + below**2 + second**2) / 2 + torch.hypot(half_apart, both)
        minor = (first * second) ** 2 / major  # from the determinant: nothing cancels
        angle = torch.atan2(both, half_apart) / 2
        x, y = (self.locs - centre.to(self.locs)[..., None, :]).unbind(-1)
        cos, sin = angle.cos(), angle.sin()
        offsets = torch.stack([y * cos - x * sin, x * cos + y * sin], -1)
        return torch.stack([minor, major], -1), offsets

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


def mixture_from_head(
    raw: Float[Tensor, "*points k6"], components: int, flow_scale: float
) -> MotionMixture:
    """The head's K * 6 outputs as a mixture: K logits, K x 2 means, K x 3 Cholesky entries."""
    raw = raw.double()
    logits, locs, entries = raw.split([components, 2 * components, 3 * components], -1)
    first, below, second = rearrange(entries, "... (k e) -> e ... k", e=3)
    first, second = (_squareplus(diagonal) + 1e-4 for diagonal in (first, second))
    rows = [torch.stack([first, torch.zeros_like(first)], -1), torch.stack([below, second], -1)]
    return MotionMixture(
        logits.log_softmax(-1),
        rearrange(locs, "... (k d) -> ... k d", d=2) / flow_scale,
        torch.stack(rows, -2) / flow_scale,
    )


def _squareplus(v: Tensor) -> Tensor:
    return (v + (v**2 + 4).sqrt()) / 2


_gauss_legendre = cache(np.polynomial.legendre.leggauss)


def _quadrature(
    low: Float[Tensor, "*shape"], high: Float[Tensor, "*shape"], nodes: int = 64
) -> tuple[Float[Tensor, "*shape nodes"], Float[Tensor, "*shape nodes"]]:
    """Gauss-Legendre nodes and weights on each interval."""
    half = ((high - low) / 2)[..., None]
    x, weights = (torch.from_numpy(a).to(low) for a in _gauss_legendre(nodes))
    return low[..., None] + half * (x + 1), half * weights


def _binormal_cdf(h: Tensor, k: Tensor, rho: Tensor, root: Tensor) -> Tensor:
    """P(X <= h, Y <= k) of standard normals with correlation `rho`, `root` = sqrt(1 - rho^2).

    By Owen's T function (D. B. Owen, Ann. Math. Statist. 27, 1956), exact for any correlation.
    """
    tiny = 1e-150  # stands for zero, so that the directions below are defined
    h, k = (torch.where(x.abs() < tiny, torch.full_like(x, tiny), x) for x in (h, k))
    total = 0.5 * (torch.special.ndtr(h) + torch.special.ndtr(k))
    total = total - _owens_t(h, (k - rho * h) / root) - _owens_t(k, (h - rho * k) / root)
    return (total - 0.5 * (h * k.sign() < 0)).clamp(0, 1)


def _owens_t(h: Tensor, ah: Tensor) -> Tensor:
    """Owen's T(h, a), given `ah` = a * h: the mass between the lines y = 0 and y = a x, x > h."""
    sign = h.sign() * ah.sign()
    h, ah = h.abs(), ah.abs()
    # Beyond a = 1 the mirrored wedge is integrated instead: the integrand stays smooth.
    swap = ah > h
    far, near = torch.where(swap, ah, h), torch.where(swap, h, ah)
    x, weight = _quadrature(torch.zeros_like(far), near / far)
    wedge = (weight * torch.exp(-0.5 * far[..., None] ** 2 * (1 + x**2)) / (1 + x**2)).sum(-1)
    wedge = wedge / (2 * math.pi)
    p, q = torch.special.ndtr(h), torch.special.ndtr(ah)
    return sign * torch.where(swap, 0.5 * (p + q) - p * q - wedge, wedge)
