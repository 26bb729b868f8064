# SPDX-License-Identifier: Apache-2.0
"""A table of what is predicted to move where, and how surely."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.ros.conversions import motion_from_message

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.apps.planner import Answer
    from fpt_ros.apps.scenes import Push

DIRECTIONS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")
STILL = 3.0  # pixels: shorter displacements are called none


def table(push: Push, answer: Answer) -> str:
    """One line for each point: mean displacement, uncertainty, leading mode, and the truth."""
    motion = motion_from_message(answer.motion)
    x, y, dx, dy = push.poke
    known = push.truth is not None
    lines = [
        f"{push.title}: poke at ({x:.0f}, {y:.0f}), push {in_words(push.poke[2:])}"
        f" ({dx:+.0f}, {dy:+.0f}) px; answered in {1000 * answer.seconds:.0f} ms",
        f"  {'point':22} {'at':>11}  {'moves [px]':>14}  {'give or take':>12}  {'likeliest':>18}"
        + ("  really [px]" if known else ""),
    ]
    spread = deviation(motion.weights, motion.means, motion.covariances)
    for i, (name, point) in enumerate(zip(push.names, push.points, strict=True)):
        mode = motion.weights[i].argmax()
        likeliest = f"{in_words(motion.means[i, mode])} {100 * motion.weights[i, mode]:.0f} %"
        lines.append(
            f"  {name:22} ({point[0]:4.0f},{point[1]:4.0f})  {pair(motion.mean[i]):>14}"
            f"  {spread[i]:9.1f} px  {likeliest:>18}"
            + (f"  {pair(push.truth[i]):>11}" if push.truth is not None else "")
        )
    return "\n".join(lines)


def deviation(
    weights: Float[np.ndarray, "n k"],
    means: Float[np.ndarray, "n k 2"],
    covariances: Float[np.ndarray, "n k 2 2"],
) -> Float[np.ndarray, "n"]:
    """Root mean square distance of a point's displacement from its mean, same unit."""
    mean = np.einsum("nk,nkd->nd", weights, means)
    second = np.trace(covariances, axis1=-2, axis2=-1) + ((means - mean[:, None]) ** 2).sum(-1)
    return np.sqrt((weights * second).sum(-1))


def in_words(flow: Float[np.ndarray, "2"]) -> str:
    """A displacement's direction in the image, or that there is none."""
    if np.linalg.norm(flow) < STILL:
        return "stays"
    return DIRECTIONS[round(np.arctan2(flow[1], flow[0]) / (np.pi / 4)) % 8]


def pair(flow: Float[np.ndarray, "2"]) -> str:
    return f"({flow[0]:+.0f}, {flow[1]:+.0f})"
