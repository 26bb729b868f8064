# SPDX-License-Identifier: Apache-2.0
"""Integrals over bivariate normals without a closed form: mass in a disc, mean distance, cdf.

Each takes a fixed number of steps and never looks at its values, so that a GPU need not wait.
Means and lower Cholesky factors come as [..., 2] and [..., 2, 2], float64, in one unit of length.
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float
    from torch import Tensor

FAR = 1e100
"""Stands for any larger length, infinity included: its square is still a number."""
_REACH = 6.0  # standard deviations beyond which a normal's mass is below 2e-9
_DISC_NODES = 26
_BLOCK, _BLOCK_FOR_THREADS = 12_000, 2**17  # numbers computed at once on CPUs


def mass_in_disc(
    mean: Float[Tensor, "*#shape 2"],
    scale_tril: Float[Tensor, "*#shape 2 2"],
    radius: Float[Tensor, "*#shape"],
) -> Float[Tensor, "*shape"]:
    """Probability of a normal within `radius` of the origin, to 1e-8 for any radius and shape.

    (From a radius of 1e8 standard deviations on, as exactly as float64 can place the rim.)

    With u = radius sin(t) along the normal's minor axis, the disc's chord along the major one is
    cos(t) times its diameter, and has a closed form. In units of the standard deviations, and
    mirrored so that the mean is at (x0, y0) >= 0, the disc is an ellipse of half axes a >= b, and
    what is left is an integral over t. Its nodes lie only where the ellipse's rim passes the mean
    within `_REACH`: a chord that reaches further to both sides has mass 1.
    """
    x0, y0, slope, sigma_u, sigma_v = _along_axes(mean, scale_tril)
    radius = radius.clamp_max(FAR)
    a, b = radius / sigma_u, radius / sigma_v
    with torch.no_grad():
        start, end, whole = _rim_near_mean(a, b, x0, y0)
    middle, half = (start + end) / 2, (end - start) / 2
    half_whole = half * whole
    # Over sqrt(2), as the error function wants it.
    a, b, x0, y0 = (v * math.sqrt(0.5) for v in (a, b, x0, y0))

    def chord(node: Tensor) -> Tensor:
        even, more_for_whole = node.unbind(1)
        t = middle + half * even + half_whole * more_for_whole
        cos, x = t.cos(), torch.addcmul(-x0, a, t.sin())
        length, centre = b * cos, torch.addcmul(y0, slope, x)
        mass = torch.erf(length - centre) + torch.erf(length + centre)
        return torch.exp(-x * x) * mass * cos

    sums = weighted_sum(chord, *_disc_nodes(a.device), middle.shape)
    rim = torch.where(whole, sums[1], sums[0]) * half * a / math.sqrt(math.pi)
    return (rim + torch.where(whole, torch.erf(a * start.sin() - x0) + 1, 0.0)) / 2


@cache
def _disc_nodes(device: torch.device) -> tuple[Float[Tensor, "nodes 2"], Float[Tensor, "nodes 2"]]:
    """Equally spaced nodes on [-1, 1] and what makes Gauss-Legendre's of them; their weights.

    The former are by far the best where the integrand fades out at both ends, or reaches the
    ellipse's tip, beyond which it goes on as its own mirror image; the latter where it starts
    among chords of mass 1.
    """
    gauss, gauss_weight = _legendre_on(_DISC_NODES, device)
    with torch.inference_mode(False):
        even = (2 * torch.arange(_DISC_NODES, device=device).double() + 1) / _DISC_NODES - 1
        even_weight = torch.full_like(even, 2 / _DISC_NODES)
        nodes = torch.stack([even, gauss - even], -1)
        return nodes, torch.stack([even_weight, gauss_weight], -1)


def _along_axes(mean: Tensor, scale_tril: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """A normal in a frame along its axes, u the minor one, v the major one.

    Returns:
        The mean in standard deviations of u and of v given u, both at least 0; how much v's mean
        grows with u, both in these units (0 but for its gradient); the two standard deviations.
    """
    first, below, second = (scale_tril[..., i, j] for i, j in ((0, 0), (1, 0), (1, 1)))
    x, y = mean.unbind(-1)
    with torch.no_grad():  # any frame is right: the axes of a round normal have no gradient
        angle = torch.atan2(2 * first * below, first**2 - below**2 - second**2) / 2
        cos, sin = angle.cos(), angle.sin()
        u_sign, v_sign = (
            torch.where(v < 0, -1.0, 1.0) for v in (y * cos - x * sin, x * cos + y * sin)
        )
    u, v = (y * cos - x * sin) * u_sign, (x * cos + y * sin) * v_sign
    # Rows of the rotated factor.
    u1, u2 = below * cos - first * sin, second * cos
    v1, v2 = first * cos + below * sin, second * sin
    sigma_u = (u1**2 + u2**2).sqrt()
    sigma_v = first * second / sigma_u
    slope = (u1 * v1 + u2 * v2) * u_sign * v_sign / (sigma_u * sigma_v)
    return u / sigma_u, v / sigma_v, slope, sigma_u, sigma_v


def _rim_near_mean(a: Tensor, b: Tensor, x0: Tensor, y0: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The range of t that needs nodes, and whether all chords below it that matter have mass 1."""
    a, b = (v.clamp_min(torch.finfo(v.dtype).tiny) for v in (a, b))
    low, high = (((x0 + reach) / a).clamp(-1, 1).asin() for reach in (-_REACH, _REACH))
    full, empty = (((y0 + reach) / b).clamp(-1, 1).acos() for reach in (_REACH, -_REACH))
    whole = low > -full
    start = torch.where(whole, low.maximum(full), low.maximum(-empty))
    start = start.minimum(high)
    return start, high.minimum(empty).maximum(start), whole & (full > low)


def mean_length(
    mean: Float[Tensor, "*#shape 2"], scale_tril: Float[Tensor, "*#shape 2 2"]
) -> Float[Tensor, "*shape"]:
    """Expected distance of a normal from the origin, to 2e-9 of itself for any shape.

    A square root is a sum of exponentials, and the expectation of exp(-s |d|^2) is a closed form.
    """
    scale = (mean.square().sum(-1) + scale_tril.square().sum((-2, -1))).sqrt().detach()
    x, y = (mean / scale[..., None]).unbind(-1)
    tril = scale_tril / scale[..., None, None]
    first, below, second = (tril[..., i, j] for i, j in ((0, 0), (1, 0), (1, 1)))
    trace, det = first**2 + below**2 + second**2, (first * second) ** 2
    square = x**2 + y**2
    across = (second * x) ** 2 + (first * y - below * x) ** 2  # mean by the adjugate covariance
    double_trace = 2 * trace
    rate, weight, constant, linear, quadratic = _sqrt_as_exponentials(scale.device)

    def sharpness(rate: Tensor) -> Tensor:
        inverse = ((double_trace + (4 * rate) * det) * rate + 1).reciprocal()
        exponent = (square + (2 * rate) * across) * rate
        return torch.exp(-exponent * inverse) * inverse.sqrt()

    sharp = weighted_sum(sharpness, rate, weight, scale.shape)
    # The first two moments of |d|^2.
    moment = trace + square
    moment2 = moment**2 + 2 * (trace**2 - 2 * det) + 4 * (square * trace - across)
    return scale * (constant + linear * moment + quadratic * moment2 - sharp)


def _sqrt_as_exponentials(device: torch.device) -> tuple[Tensor, Tensor, float, float, float]:
    """Numbers such that sqrt(s) = constant + linear s + quadratic s^2 - sum(weight exp(-rate s)).

    From sqrt(s) = 1 / sqrt(pi) * integral over u > 0 of (1 - exp(-s u^2)) / u^2, by the trapezoidal
    rule in log(u), whose ends are summed in closed form: a constant above and a Taylor series
    below. The error is 1.5e-9 of sqrt(s) from s = 1e-7 to 10, and 2e-8 at 100; at 0 it is 4e-5,
    which moves the mean by no more than 1e-9 where the mean of s is 1.
    """
    step, low, high = 0.27, -18, 35
    u = torch.exp(step * torch.arange(low, high + 1, device=device, dtype=torch.float64))
    factor, ratio, least = step / math.sqrt(math.pi), math.exp(-step), math.exp(step * low)
    constant = factor * sum(math.exp(-step * k) for k in range(low, high))
    constant += factor * math.exp(-step * high) / (1 - ratio)
    linear = factor * least * ratio / (1 - ratio)
    quadratic = -factor / 2 * (least * ratio) ** 3 / (1 - ratio**3)
    return u**2, factor / u, constant, linear, quadratic


def binormal_cdf(h: Tensor, k: Tensor, rho: Tensor, root: Tensor) -> Tensor:
    """P(X <= h, Y <= k) of standard normals with correlation `rho`, `root` = sqrt(1 - rho^2).

    By Owen's T function (D. B. Owen, Ann. Math. Statist. 27, 1956), exact for any correlation.
    """
    with torch.no_grad():
        probability = _binormal_cdf(h, k, rho, root)
        slopes = (
            _density(h) * torch.special.ndtr((k - rho * h) / root),
            _density(k) * torch.special.ndtr((h - rho * k) / root),
            _density(h) * _density((k - rho * h) / root) / root,
        )
    # First derivatives in closed form: within T, infinite ones would have to cancel at the mean.
    for value, slope in zip((h, k, rho), slopes, strict=True):
        probability = probability + slope * (value - value.detach())
    return probability


def _density(x: Tensor) -> Tensor:
    return torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)


def _binormal_cdf(h: Tensor, k: Tensor, rho: Tensor, root: Tensor) -> Tensor:
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
    x, weight = _gauss_legendre(torch.zeros_like(far), near / far, 64)
    wedge = (weight * torch.exp(-0.5 * far[..., None] ** 2 * (1 + x**2)) / (1 + x**2)).sum(-1)
    wedge = wedge / (2 * math.pi)
    p, q = torch.special.ndtr(h), torch.special.ndtr(ah)
    return sign * torch.where(swap, 0.5 * (p + q) - p * q - wedge, wedge)


def weighted_sum(
    term: Callable[[Tensor], Tensor],
    nodes: Float[Tensor, "nodes *coordinates"],
    weights: Float[Tensor, "nodes *sets"],
    shape: torch.Size,
    numbers: int = 1,
) -> Float[Tensor, "*sets *shape"]:
    """Sum of weight * term(node), where a term has this shape, and needs so many numbers for each.

    Nodes come ready to be broadcast. On CPUs a few at a time, so that what is computed stays in the
    cache, and below the size from which memory is fetched anew for every operation: that would take
    most of the time. Several threads want more of it, or they do not share the work.
    """
    nodes = nodes.reshape(*nodes.shape, *(1 for _ in shape))
    on_cpu = weights.device.type == "cpu"
    block = _BLOCK if torch.get_num_threads() == 1 else _BLOCK_FOR_THREADS
    at_once = max(1, block // max(1, shape.numel() * numbers)) if on_cpu else len(weights)
    blocks = zip(nodes.split(at_once), weights.split(at_once), strict=True)
    sums = [torch.tensordot(weight, term(node), ([0], [0])) for node, weight in blocks]
    return sums[0] if len(sums) == 1 else torch.stack(sums).sum(0)


def _gauss_legendre(
    low: Float[Tensor, "*shape"], high: Float[Tensor, "*shape"], nodes: int
) -> tuple[Float[Tensor, "*shape nodes"], Float[Tensor, "*shape nodes"]]:
    """Gauss-Legendre nodes and weights on each interval."""
    half = ((high - low) / 2)[..., None]
    x, weights = _legendre_on(nodes, low.device)
    return low[..., None] + half * (x + 1), half * weights


@cache
def _legendre_on(nodes: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """On [-1, 1], kept on each device: to copy them there each time would wait for it."""
    with torch.inference_mode(False):  # else nothing that uses them could have gradients
        x, weights = (
            torch.from_numpy(a).to(device) for a in np.polynomial.legendre.leggauss(nodes)
        )
    return x, weights
