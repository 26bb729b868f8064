# SPDX-License-Identifier: Apache-2.0
"""A point tracker that needs no download: pyramidal Lucas-Kanade (OpenCV) from frame to frame.

A point is followed forward and backward in time from the frame in which it is given. It is lost
where the flow back does not lead to where it came from, or the point no longer looks as it did.
From there it goes with the points around it that moved as it did, or stays, where the camera
stands still and the place looks the same; it counts as visible again as soon as it looks like
itself. That carries points over surfaces without texture, and past what hides them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32, Int, UInt8

FLOW: dict[str, Any] = {"winSize": (21, 21), "maxLevel": 3, "minEigThreshold": 1e-6}
SURE_FLOW: dict[str, Any] = FLOW | {"winSize": (15, 15), "minEigThreshold": 1e-4}
"""Windows over a straight edge do not say where along it they went."""
ROUND_TRIP = 0.7
"""There and back again, a point may miss its start by this many pixels."""
REACH = 4
"""A point's looks are the (2 * REACH + 1)^2 grey values round it."""
CHANGED, UNCHANGED = 22.0, 10.0
"""A followed point is lost above this mean difference of its looks (0 to 255), a lost one found
below that."""
PLAIN = 2.0
"""Flow tells nothing of a point whose looks vary by less: its wider window may show an edge of
something else."""
COMPANIONS = 8
PAST = 5
"""Frames over which companions have to have moved alike."""
DRAGGED = 2
"""What comes to hide a point may drag it along for so many frames before that is noticed."""
STILL, STILL_SHARE = 0.2, 0.4
"""The camera counts as still where more than this share of the points moves by fewer pixels."""
UNLIKE = 3.0
"""A pixel of other motion in the past weighs as much as so many pixels of distance."""


def track_points(
    frames: UInt8[np.ndarray, "t s s 3"], queries: Float[np.ndarray, "n 3"]
) -> tuple[Float32[np.ndarray, "t n 2"], Bool[np.ndarray, "t n"]]:
    """Tracks in [0, 1] and visibility of points given as frame number, x, y in [0, 1]."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    size, last = frames.shape[1], len(frames) - 1
    starts = queries[:, 0].astype(int)
    points = (queries[:, 1:] * size - 0.5).astype(np.float32)
    ahead = _Sweep(grey, starts, points).run()
    back = _Sweep(grey[::-1], last - starts, points).run()
    later = np.arange(len(frames))[:, None] >= starts
    tracks = np.where(later[..., None], ahead[0], back[0][::-1])
    visible = np.where(later, ahead[1], back[1][::-1])
    return ((tracks + 0.5) / size).astype(np.float32), visible


def follow_surely(
    before: UInt8[np.ndarray, "s s 3"],
    after: UInt8[np.ndarray, "s s 3"],
    points: Float32[np.ndarray, "n 2"],
) -> tuple[Float32[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """Where points [px] are in another frame, and which certainly are: flow leads there and back,
    they look as before, and have looks to go by. The others are not carried along."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (before, after)]
    there, good = _flow(grey[0], grey[1], points, SURE_FLOW)
    as_before = looks(grey[0], points)
    good &= _difference(as_before, looks(grey[1], there)) < UNCHANGED
    good &= as_before.std(1) > PLAIN
    return there, good


class _Sweep:
    """Points followed through the frames in one direction, each from its start on.

    tracks: pixels. What stands in tracks and visible before a point's start means nothing.
    """

    def __init__(
        self,
        grey: list[UInt8[np.ndarray, "s s"]],
        starts: Int[np.ndarray, " n"],
        points: Float32[np.ndarray, "n 2"],
    ) -> None:
        self.grey, self.starts = grey, starts
        self.tracks = np.repeat(points[None], len(grey), axis=0)
        self.visible = np.arange(len(grey))[:, None] == starts
        self.looks = np.zeros((len(points), (2 * REACH + 1) ** 2), np.float32)

    def run(self) -> tuple[Float32[np.ndarray, "t n 2"], Bool[np.ndarray, "t n"]]:
        for now in range(len(self.grey) - 1):
            new = self.starts == now
            self.looks[new] = looks(self.grey[now], self.tracks[now, new])
            sure = self._follow(now)
            self._carry(now, now, np.flatnonzero(self._lost(now + 1)), sure)
            self._take_back(now, sure)
        return self.tracks, self.visible

    def _lost(self, time: int) -> Bool[np.ndarray, " n"]:
        """Points that began before and are not visible."""
        return (self.starts < time) & ~self.visible[time]

    def _follow(self, now: int) -> Int[np.ndarray, " k"]:
        """Flow to the next frame; gives the points that certainly are where it leads."""
        followed = np.flatnonzero(self.visible[now])
        there, good = _flow(self.grey[now], self.grey[now + 1], self.tracks[now, followed])
        change = _difference(self.looks[followed], looks(self.grey[now + 1], there))
        good &= (change < CHANGED) & (self.looks[followed].std(1) > PLAIN)
        self.tracks[now + 1, followed[good]] = there[good]
        self.visible[now + 1, followed[good]] = True
        return followed[good & (change < UNCHANGED)]

    def _carry(
        self, since: int, now: int, lost: Int[np.ndarray, " m"], sure: Int[np.ndarray, " k"]
    ) -> None:
        """Take lost points from where they were to the next frame with the others' motion."""
        seen = sure[self.starts[sure] <= since]
        place = self.tracks[since, lost]
        moved = place + _common_motion(self.tracks, since, now + 1, lost, seen)
        # Before a plain wall in front of which an arm moves, its edges are all there is to see.
        stay = self._alike(now + 1, lost, place) & _camera_is_still(
            self.tracks, since, now + 1, seen
        )
        place = np.where(stay[:, None], place, moved)
        self.tracks[now + 1, lost] = place
        self.visible[now + 1, lost] = self._alike(now + 1, lost, place)

    def _alike(
        self, time: int, points: Int[np.ndarray, " m"], places: Float32[np.ndarray, "m 2"]
    ) -> Bool[np.ndarray, " m"]:
        """Whether points would look in these places as they did at their start."""
        change = _difference(self.looks[points], looks(self.grey[time], places))
        return (change < UNCHANGED) & _inside(places, self.grey[0])

    def _take_back(self, now: int, sure: Int[np.ndarray, " k"]) -> None:
        """Points just lost may have been dragged before: carry them from where they were."""
        losing = np.flatnonzero(self.visible[now] & self._lost(now + 1))
        before = max(now - DRAGGED, 0)
        self._carry(before, now, losing, sure)
        doubtful = np.arange(before + 1, now + 1)[:, None] > self.starts[losing]
        self.visible[before + 1 : now + 1, losing] &= ~doubtful


def _flow(
    before: UInt8[np.ndarray, "s s"],
    after: UInt8[np.ndarray, "s s"],
    points: Float32[np.ndarray, "n 2"],
    settings: dict[str, Any] = FLOW,
) -> tuple[Float32[np.ndarray, "n 2"], Bool[np.ndarray, " n"]]:
    """Where points go, and whether the flow back agrees."""
    if not len(points):
        return points, np.zeros(0, bool)
    flow: Any = cv2.calcOpticalFlowPyrLK  # its type hints know no None
    there, found, _ = flow(before, after, points[:, None], None, **settings)
    back, returned, _ = flow(after, before, there, None, **settings)
    missed = np.linalg.norm(back[:, 0] - points, axis=1)
    good = (found[:, 0] == 1) & (returned[:, 0] == 1) & (missed < ROUND_TRIP)
    return there[:, 0], good & _inside(there[:, 0], before)


def _inside(points: Float32[np.ndarray, "n 2"], grey: np.ndarray) -> Bool[np.ndarray, " n"]:
    return np.all((points > -0.5) & (points < len(grey) - 0.5), axis=1)


def looks(
    grey: UInt8[np.ndarray, "s s"], points: Float32[np.ndarray, "n 2"], reach: int = REACH
) -> Float32[np.ndarray, "n patch"]:
    """The grey values round points, up to so many pixels to each side."""
    offsets = np.arange(-reach, reach + 1, dtype=np.float32)
    down, right = (axis.ravel() for axis in np.meshgrid(offsets, offsets, indexing="ij"))
    x, y = points[:, :1] + right, points[:, 1:] + down
    if not len(points):
        return x
    values = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return values.astype(np.float32)


def _difference(
    one: Float32[np.ndarray, "n patch"], other: Float32[np.ndarray, "n patch"]
) -> Float32[np.ndarray, " n"]:
    return np.abs(one - other).mean(1)


def _camera_is_still(
    tracks: Float32[np.ndarray, "t n 2"], since: int, now: int, seen: Int[np.ndarray, " k"]
) -> bool:
    """Whether a good part of what is seen does not move."""
    steps = np.linalg.norm(tracks[now, seen] - tracks[since, seen], axis=1)
    return bool(np.mean(steps < STILL) > STILL_SHARE) if len(seen) else True


def _common_motion(
    tracks: Float32[np.ndarray, "t n 2"],
    since: int,
    now: int,
    lost: Int[np.ndarray, " m"],
    seen: Int[np.ndarray, " k"],
) -> Float32[np.ndarray, "m 2"]:
    """The median step of each lost point's companions: seen ones that are near and moved alike."""
    if not len(seen):
        return np.zeros((len(lost), 2), np.float32)
    place, motion = tracks[since], tracks[since] - tracks[max(since - PAST, 0)]
    distance = np.linalg.norm(place[lost, None] - place[seen], axis=-1)
    distance += UNLIKE * np.linalg.norm(motion[lost, None] - motion[seen], axis=-1)
    nearest = np.argsort(distance, axis=1, kind="stable")[:, :COMPANIONS]
    steps = tracks[now, seen] - tracks[since, seen]
    return np.median(steps[nearest], axis=1)
