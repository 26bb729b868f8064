"""What the worker does for each image, poke message and request. Runs in the worker's thread."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.msg import ErrorCode
from fpt_ros.ros.conversions import motion_to_message, stamp_text
from fpt_ros.ros.images import ImageError
from fpt_ros.ros.requests import RequestError, invalid, read_points, read_pokes
from fpt_ros.srv import PredictMotion
from fpt_ros.view import check_points, check_pokes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from jaxtyping import Float32
    from sensor_msgs.msg import CameraInfo

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
                _check_inside(NO_POKES, points, *self._size(frame))
            self._points = points

    def take_pokes(self, message: PokeArray) -> None:
        """Make these the current pokes and predict, if they are a trigger."""
        with self._refusing("pokes"):
            pokes = read_pokes(message.pokes)
            trigger = self._node.settings.trigger
            if trigger != "pokes" and not len(self._node.frames):
                self._pokes = pokes  # the first image comes with a prediction of its own
                return
            frame = self._node.frames.find(message.header.stamp)
            _check_inside(pokes, NO_POINTS, *self._size(frame))
            self._pokes = pokes
            if trigger != "image":
                self._predict(frame)

    def take_image(self) -> None:
        """Predict on the newest image with the current pokes."""
        frame = self._node.frames.newest()
        if frame is not None:
            with self._refusing("image"):
                self._predict(frame)

    def predict_motion(self, request: PredictMotion.Request) -> PredictMotion.Response:
        settings = self._node.settings
        pokes = read_pokes(request.pokes)
        points = read_points(request.x, request.y, settings.max_queries)
        frame = self._node.frames.find(request.stamp)
        _check_inside(pokes, points, *self._size(frame))
        motion = self._motion(frame, pokes, points, request.camera_moving)
        return PredictMotion.Response(motion=motion_to_message(motion, frame.header))

    def answer(self, response_type: type, compute: Callable[[Predictions], Any]) -> Any:
        """What `compute` returns, or a response with the error that it ended with."""
        try:
            return compute(self)
        except RequestError as error:
            code, message = error.code, str(error)
        except Exception as error:
            self._node.fail(error)
            code, message = ErrorCode.PREDICTION_FAILED, f"{type(error).__name__}: {error}"
        self._node.statistics.count("request errors")
        return response_type(error_code=code, error_msg=message)

    @contextmanager
    def _refusing(self, topic: str) -> Iterator[None]:
        """Refuse a message of this topic for what is wrong with it; a fault is logged as such."""
        try:
            yield
        except RequestError as error:
            if error.code != ErrorCode.CANCELED:
                self._node.refuse(f"{topic}: {error}")
        except Exception as error:
            self._node.fail(error)

    def _predict(self, frame: Frame) -> None:
        settings, outputs = self._node.settings, self._outputs
        _check_inside(self._pokes, self._points, *self._size(frame))
        motion = self._motion(frame, self._pokes, self._points, settings.camera_moving)
        if not self._open:
            return
        outputs.publish_motion(motion, frame)
        self._node.statistics.count("predictions")
        if outputs.wanted("flow"):
            on_grid = motion
            if not motion.grid[0]:
                on_grid = self._motion(frame, self._pokes, NO_POINTS, settings.camera_moving)
            outputs.publish_flow(on_grid, frame)
        outputs.publish_pictures(motion, frame, self.camera_info)

    def _motion(
        self,
        frame: Frame,
        pokes: Float32[np.ndarray, "P 4"],
        points: Float32[np.ndarray, "N 2"],
        camera_moving: bool,
    ) -> Motion:
        return self._inference.motion(
            frame, pokes, points, self._node.settings, camera_moving, lambda: self._open
        )

    def _size(self, frame: Frame) -> tuple[int, int]:
        """Width and height [px]. A frame that cannot be decoded is let go with an error."""
        try:
            return frame.size
        except ImageError as error:
            self._node.frames.remove(frame)
            message = f"image {stamp_text(frame.header.stamp)}: {error}"
            raise RequestError(ErrorCode.PREDICTION_FAILED, message) from error


def _check_inside(
    pokes: Float32[np.ndarray, "P 4"],
    points: Float32[np.ndarray, "N 2"],
    width: int,
    height: int,
) -> None:
    """RequestError for the first poke or query point outside a width x height image [px]."""
    try:
        check_pokes(pokes, width, height)
        check_points(points, width, height)
    except ValueError as error:
        raise invalid(str(error)) from error
