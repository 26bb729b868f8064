"""What the worker does for each image and message. Runs in the worker's thread."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.ros.inference import check_inside
from fpt_ros.ros.requests import RequestError, read_points, read_pokes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Float32
    from sensor_msgs.msg import CameraInfo

    from fpt_ros.inference.steps import Steps
    from fpt_ros.msg import PokeArray, QueryPoints
    from fpt_ros.ros.conversions import Motion
    from fpt_ros.ros.frames import Frame
    from fpt_ros.ros.inference import Inference
    from fpt_ros.ros.node import FptNode
    from fpt_ros.ros.outputs import Outputs

NO_POKES = np.zeros((0, 4), np.float32)
NO_POINTS = np.zeros((0, 2), np.float32)


class Predictions:
    """The current pokes and query points of one activation, and the predictions made with them.

    Only the worker calls its methods (but `close`), so nothing here is locked.
    """

    def __init__(self, node: FptNode, inference: Inference, outputs: Outputs) -> None:
        self._node = node
        self._inference = inference
        self._outputs = outputs
        self.camera_info: CameraInfo | None = None
        self._pokes, self._points = NO_POKES, NO_POINTS
        self._open = True

    def close(self) -> None:
        """A running prediction ends as soon as it can and publishes nothing."""
        self._open = False

    def take_points(self, message: QueryPoints) -> None:
        """Make these the current query points; none: back to the grid."""
        with self._refusing("query_points"):
            points = read_points(message.x, message.y, self._node.settings.max_queries)
            frame = self._node.frames.newest()
            if frame is not None:
                check_inside(NO_POKES, points, *self._node.frames.size_of(frame))
            self._points = points

    def take_pokes(self, message: PokeArray) -> Steps[None]:
        """Make these the current pokes and predict, if they are a trigger."""
        with self._refusing("pokes"):
            pokes = read_pokes(message.pokes)
            trigger = self._node.settings.trigger
            if trigger != "pokes" and not len(self._node.frames):
                self._pokes = pokes  # the first image comes with a prediction of its own
                return
            frame = self._node.frames.find(message.header.stamp)
            check_inside(pokes, NO_POINTS, *self._node.frames.size_of(frame))
            self._pokes = pokes
            if trigger != "image":
                yield from self._predict(frame)

    def take_image(self) -> Steps[None]:
        """Predict on the newest image with the current pokes."""
        frame = self._node.frames.newest()
        if frame is not None:
            with self._refusing("image"):
                yield from self._predict(frame)

    @contextmanager
    def _refusing(self, topic: str) -> Iterator[None]:
        """Refuse a message of this topic for what is wrong with it; a fault is logged as such."""
        try:
            yield
        except RequestError as error:
            self._node.refuse(f"{topic}: {error}")
        except Exception as error:
            self._node.fail(error)

    def _predict(self, frame: Frame) -> Steps[None]:
        outputs = self._outputs
        pokes, points = self._pokes, self._points
        check_inside(pokes, points, *self._node.frames.size_of(frame))
        motion = yield from self._motion(frame, pokes, points)
        if not self._open:
            return
        outputs.publish_motion(motion, frame)
        self._node.statistics.count("predictions")
        if outputs.wanted("flow"):
            on_grid = motion
            if not motion.grid[0]:
                on_grid = yield from self._motion(frame, pokes, NO_POINTS)
            outputs.publish_flow(on_grid, frame)
        outputs.publish_pictures(motion, frame, self.camera_info)

    def _motion(
        self,
        frame: Frame,
        pokes: Float32[np.ndarray, "P 4"],
        points: Float32[np.ndarray, "N 2"],
    ) -> Steps[Motion]:
        settings = self._node.settings
        return self._inference.motion(frame, pokes, points, settings, settings.camera_moving)
