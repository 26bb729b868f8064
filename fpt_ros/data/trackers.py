# SPDX-License-Identifier: Apache-2.0
"""The point trackers by name: one that is built in, one that torch hub downloads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.data import lucas_kanade

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, UInt8

Tracks = tuple["Float32[np.ndarray, 't n 2']", "Bool[np.ndarray, 't n']"]
Tracker = Callable[["UInt8[np.ndarray, 't s s 3']", "Float[np.ndarray, 'n 3']"], Tracks]
"""Frames, and points as frame number, x, y in [0, 1], to tracks in [0, 1] and visibility."""

TRACKERS = ("lucas-kanade", "cotracker3")
REPOSITORY, ENTRY = "facebookresearch/co-tracker:main", "cotracker3_offline"


@cache
def load_tracker(name: str, device: str = "auto") -> Tracker:
    """A tracker, loaded once a process.

    Args:
        device: for cotracker3: auto (CUDA where there is one), cpu, cuda or cuda:N.

    Raises:
        ValueError: an unknown name.
        RuntimeError: cotracker3 cannot be had; says what is missing.
    """
    if name == "lucas-kanade":
        return lucas_kanade.track_points
    if name == "cotracker3":
        return _cotracker3(device)
    raise ValueError(f"tracker is {name!r}: must be one of {', '.join(TRACKERS)}")


def staying(frames: np.ndarray, queries: Float[np.ndarray, "n 3"]) -> Tracks:
    """The tracker to beat: nothing ever moves, everything is always seen."""
    tracks = np.repeat(queries[None, :, 1:], len(frames), axis=0)
    return tracks.astype(np.float32), np.ones(tracks.shape[:2], bool)


def _cotracker3(device: str) -> Tracker:
    """CoTracker 3 from torch hub (code and weights: see its own licences).

    Its offline model, which sees a clip as a whole and can go back in time from a point's frame.
    It takes frames of 0 to 255 and points as frame number and pixels from the centre of the first.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        loaded = torch.hub.load(REPOSITORY, ENTRY, trust_repo=True, verbose=False)
        network = loaded.to(device).eval()
    except Exception as error:  # code from elsewhere may raise anything
        raise RuntimeError(
            f"tracker cotracker3 needs {ENTRY} of {REPOSITORY} from torch hub, its code and its "
            f"weights, in {torch.hub.get_dir()} or from the network: {error}. "
            "The tracker lucas-kanade needs no download"
        ) from error

    @torch.no_grad()
    def track(frames: np.ndarray, queries: np.ndarray) -> Tracks:
        size = frames.shape[1]
        pixels = queries * [1, size, size] - [0, 0.5, 0.5]
        video = torch.from_numpy(frames).permute(0, 3, 1, 2)[None].float()
        asked = torch.from_numpy(pixels)[None].float()
        tracks, visible = network(
            video.to(device), queries=asked.to(device), backward_tracking=True
        )
        tracks = (tracks[0].float().cpu().numpy() + 0.5) / size
        return tracks.astype(np.float32), visible[0].bool().cpu().numpy()

    return track
