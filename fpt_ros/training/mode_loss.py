"""The mode loss: how likely are the flows of each moving body under the modes at its points?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from torch import Tensor

    from fpt_ros.model.modes import MotionModes

STILL = 0.005
"""Image sides: bodies whose points move less (root mean square) teach nothing."""
FEWEST = 4
"""Points of a body from which one learns how they move together."""


def mode_loss(
    modes: MotionModes,
    values: Float[Tensor, "b p c"],
    pos: Float[Tensor, "b p 2"],
    flow: Float[Tensor, "b m p 2"],
    bodies: Int[Tensor, "b p"],
) -> Float[Tensor, ""]:
    """Negative log-likelihood of a body's flows, nats a number, summed over the bodies that move;
    mean over the motions.

    Flows are measured in their body's root mean square: factors of variance 1 must do for motions
    of any length. So they are normal, with the covariance `fields fields^T + noise^2`. A body's
    affine fields are about the middle of its points.

    Args:
        values: what `modes` gives at some points of each picture.
        pos: the points.
        flow: of these points in each of the picture's motions; all 0 where it is not to count.
        bodies: the points' rigid bodies; the world (0) and unknown ones (-1) do not count.
    """
    numbers = bodies.unique()
    on_body = bodies[:, None] == numbers[numbers > 0, None]
    picture, place = (on_body.sum(-1) >= FEWEST).nonzero(as_tuple=True)
    on_body = on_body[picture, place].to(values.dtype)
    count = 2 * on_body.sum(1)
    weight = on_body[..., None]
    middle = (pos[picture] * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True)
    fields = modes.fields_at(pos[picture] - middle, values[picture]) * weight[..., None]
    moved = flow[picture] * on_body[:, None, :, None]
    rms = (moved.square().sum((2, 3)) / count[:, None]).sqrt()
    rows = (moved / rms.clamp_min(STILL)[..., None, None]).flatten(2)
    losses = _unlikeliness(fields.flatten(1, 2), modes.log_noise, rows, count)
    return (losses * (rms > STILL)).sum() / flow.shape[:2].numel()


def _unlikeliness(
    matrix: Float[Tensor, "g n k"],
    log_noise: Float[Tensor, ""],
    values: Float[Tensor, "g m n"],
    count: Float[Tensor, "g"],
) -> Float[Tensor, "g m"]:
    """Negative log density a number, without its constant, of rows that are normal with the
    covariance `matrix matrix^T + noise^2`, by Woodbury's identity and the determinant's.

    Args:
        count: how many numbers of a row there are; all else is 0, in the matrix too.
    """
    noise, modes = (2 * log_noise).exp(), matrix.shape[-1]
    inner = matrix.mT @ matrix + noise * torch.eye(modes, device=matrix.device)
    factor = torch.linalg.cholesky_ex(inner).L  # unchecked: a check would wait for a GPU
    projected = torch.linalg.solve_triangular(factor, matrix.mT @ values.mT, upper=False)
    squares = (values.square().sum(2) - projected.square().sum(1)) / noise
    log_determinant = 2 * (count - modes) * log_noise
    log_determinant = log_determinant + 2 * factor.diagonal(dim1=1, dim2=2).log().sum(1)
    return 0.5 * (squares + log_determinant[:, None]) / count[:, None]
