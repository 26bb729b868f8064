# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks of point tracks have in common: a frame, its tracks, and a later frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.data.moments import Moment, camera_is_static
from fpt_ros.eval.baselines import BLIND, faded
from fpt_ros.eval.cases import Case, Cases, make_case
from fpt_ros.eval.figures import flow_errors, mean, sample_errors
from fpt_ros.eval.predictions import predict

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

    from fpt_ros.model import FlowPokeTransformer

PIXELS = 256
"""Side of the picture in which TAP-Vid's distances are pixels."""
DISTANCES = (1, 2, 4, 8, 16)


def square(
    frame: UInt8[np.ndarray, "h w 3"], points: Float[np.ndarray, "... 2"]
) -> tuple[UInt8[np.ndarray, "s s 3"], Float[np.ndarray, "... 2"]]:
    """The middle square of a frame, and points, shares of the frame's width and height, as shares
    of the square's side."""
    height, width = frame.shape[:2]
    side = min(height, width)
    left, top = (width - side) // 2, (height - side) // 2
    pixels = points * [width, height]
    return frame[top : top + side, left : left + side], (pixels - [left, top]) / side


def tracks_case(
    key: str,
    frame: UInt8[np.ndarray, "h w 3"],
    tracks: Float[np.ndarray, "2 n 2"],
    seen: Bool[np.ndarray, "2 n"],
    rng: np.random.Generator,
) -> Case | None:
    """A case from where points are in a frame and in a later one, shares of its width and height;
    None where fewer than two are in the middle square, or none moves."""
    image, places = square(frame, tracks)
    inside = seen & ((places >= 0) & (places <= 1)).all(-1)
    here = inside[0]
    if here.sum() < 2:
        return None
    points = places[0, here].astype(np.float32)
    flows = (places[1:] - places[0])[:, here].astype(np.float32)
    static = camera_is_static(flows, None)
    moment = Moment(key, np.ascontiguousarray(image), points, flows, inside[1:, here], static)
    return make_case(moment, 0, rng)


def track_figures(model: FlowPokeTransformer, cases: Cases) -> dict[str, dict[str, float]]:
    """With one poke, errors on the other points: of the mean, of samples, of the baselines.

    `within` is TAP-Vid's measure of positions: the share of points nearer to the truth than 1, 2,
    4, 8 and 16 pixels of 256, on average. Trackers reach it having seen the whole video.
    """
    found = predict(model, cases, (1,))[1]
    everywhere = np.ones(len(cases.flow))
    ours = _errors(cases, found.mean) | sample_errors(cases, found.sample_errors)
    ours["nll"] = -mean(cases, found.log_prob, everywhere)
    blind = {
        name: _errors(cases, faded(cases, fading))
        for name, fading in zip(BLIND[:2], (0.0, np.inf), strict=True)
    }
    return {"ours": ours} | blind


def _errors(cases: Cases, estimate: Float[np.ndarray, "n 2"]) -> dict[str, float]:
    error = np.linalg.norm(estimate - cases.flow, axis=-1)
    everywhere = np.ones(len(error))
    within = np.mean([error * PIXELS < pixels for pixels in DISTANCES], 0)
    return {
        "epe": mean(cases, error, everywhere),
        "moving": flow_errors(cases, estimate)["moving"],
        "mse": mean(cases, error**2, everywhere),
        "within": mean(cases, within, everywhere),
    }
