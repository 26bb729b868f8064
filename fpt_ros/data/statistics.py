# SPDX-License-Identifier: Apache-2.0
"""What training will find in clips: motion, visibility, and which of them it cannot use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.data.moments import FEWEST_TRACKS, STILL, camera_is_static, start_frames, usable

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32, Int

    from fpt_ros.data.clips import Clip


@dataclass(frozen=True)
class ClipStatistics:
    """starts: frames that training may start from. lengths: displacement over the skip of every
    visible track from each of them, in image sides. static: for each, whether the camera is."""

    key: str
    frames: int
    tracks: int
    visible: float
    visible_a_frame: float
    starts: Int[np.ndarray, " k"]
    lengths: Float32[np.ndarray, " m"]
    static: Bool[np.ndarray, " k"]
    unusable: str | None


def clip_statistics(clip: Clip, skip: int) -> ClipStatistics:
    """Statistics of a clip with tracks; `unusable` says why training cannot use it, if so."""
    assert clip.tracks is not None and clip.visibility is not None
    inside = usable(clip.tracks, clip.visibility)
    enough = inside.sum(1) >= FEWEST_TRACKS
    starts = start_frames(inside, skip)
    flows = [(clip.tracks[at + skip] - clip.tracks[at])[inside[at]] for at in starts]
    bodies = [None if clip.bodies is None else clip.bodies[inside[at]] for at in starts]
    lengths = [np.linalg.norm(flow, axis=-1) for flow in flows]
    return ClipStatistics(
        key=clip.key,
        frames=len(clip.frames),
        tracks=clip.tracks.shape[1],
        visible=float(clip.visibility.mean()),
        visible_a_frame=float(inside.sum(1).mean()),
        starts=starts,
        lengths=np.concatenate(lengths) if lengths else np.zeros(0, np.float32),
        static=np.array(list(map(camera_is_static, flows, bodies)), bool),
        unusable=_why_unusable(len(clip.frames), enough, starts, skip),
    )


def _why_unusable(
    frames: int, enough: Bool[np.ndarray, " t"], starts: Int[np.ndarray, " k"], skip: int
) -> str | None:
    if frames <= skip:
        return f"shorter than {skip + 1} frames"
    if not len(starts):
        late = ", skip frames before the end," if enough.any() else ""
        return f"fewer than {FEWEST_TRACKS} visible tracks in every frame{late} to start from"
    return None


def summary(clips: list[ClipStatistics], skip: int, bad: list[str]) -> dict:
    """The statistics of all clips as plain numbers, for JSON.

    bad: clips that could not even be read, with why.
    """
    unusable: dict[str, list[str]] = {}
    for clip in clips:
        if clip.unusable:
            unusable.setdefault(clip.unusable, []).append(clip.key)
    lengths = np.concatenate([clip.lengths for clip in clips] or [np.zeros(0)])
    static = np.concatenate([clip.static for clip in clips] or [np.zeros(0)])
    percentiles = (10, 50, 90, 99)
    at = np.percentile(lengths, percentiles) if len(lengths) else [float("nan")] * 4
    return {
        "clips": len(clips) + len(bad),
        "usable": sum(clip.unusable is None for clip in clips),
        "skip": skip,
        "frames": _spread([clip.frames for clip in clips]),
        "tracks": _spread([clip.tracks for clip in clips]),
        "visible share": _spread([clip.visible for clip in clips]),
        "visible tracks a frame": _spread([clip.visible_a_frame for clip in clips]),
        "start frames a clip": _spread([len(clip.starts) for clip in clips]),
        "flow over the skip": {f"{p} %": _number(v) for p, v in zip(percentiles, at, strict=True)},
        "still": _number(np.mean(lengths < STILL)) if len(lengths) else None,
        "static camera": _number(static.mean()) if len(static) else None,
        "unusable": unusable,
        "unreadable": bad,
    }


def table(summary: dict) -> str:
    """The summary for human eyes."""
    lines = [f"{'clips':26}{summary['clips']}, {summary['usable']} of them usable"]
    for name in (
        "frames", "tracks", "visible share", "visible tracks a frame", "start frames a clip",
    ):  # fmt: skip
        values = ", ".join(f"{key} {value:g}" for key, value in summary[name].items())
        lines.append(f"{name:26}{values}")
    flow = summary["flow over the skip"].items()
    lines.append(
        f"{'flow over ' + str(summary['skip']) + ' frames':26}"
        + ", ".join(f"{key} below {value}" for key, value in flow)
    )
    for name, meaning in (("still", "of the tracks"), ("static camera", "of the start frames")):
        share = "unknown" if summary[name] is None else f"{summary[name]:.1%} {meaning}"
        lines.append(f"{name:26}{share}")
    for why, keys in summary["unusable"].items():
        more = ", ..." if len(keys) > 3 else ""
        lines.append(f"{'unusable':26}{len(keys)}: {why} ({', '.join(keys[:3])}{more})")
    lines += [f"{'unreadable':26}{text}" for text in summary["unreadable"]]
    if summary["foreign"]:
        named = ", ".join(summary["foreign"][:3]) + (", ..." if summary["foreign"][3:] else "")
        lines.append(f"{'of no sample':26}{len(summary['foreign'])} files: {named}")
    return "\n".join(lines)


def _spread(values: list) -> dict[str, float | None]:
    if not values:
        return {}
    return {
        "least": _number(min(values)),
        "median": _number(np.median(values)),
        "most": _number(max(values)),
    }


def _number(value: Any) -> float | None:
    """Rounded; JSON has no number for what is unknown."""
    return round(float(value), 4) if np.isfinite(value) else None
