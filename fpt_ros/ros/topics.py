# SPDX-License-Identifier: Apache-2.0
"""The topics of an active node: images, pokes and query points in, predictions out."""

from __future__ import annotations

import functools
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from fpt_ros.engine.depth_image import Depth
from fpt_ros.engine.engine import NO_POINTS, NO_POKES
from fpt_ros.engine.errors import RequestError
from fpt_ros.engine.frames import NEWEST, Frame
from fpt_ros.engine.questions import read_points, read_pokes
from fpt_ros.images import (
    ImageError,
    Reading,
    check_compressed,
    check_image,
    compressed_to_rgb,
    image_to_rgb,
)
from fpt_ros.msg import PokeArray, QueryPoints
from fpt_ros.ros.cameras import camera_info_topic, read_camera
from fpt_ros.ros.conversions import stamp_of
from fpt_ros.ros.depth import TRANSPORTS, depth_decoder, depth_topic
from fpt_ros.ros.qos import subscribe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rclpy.callback_groups import CallbackGroup
    from rclpy.node import Node
    from rclpy.subscription import Subscription

    from fpt_ros.engine.engine import Engine
    from fpt_ros.engine.statistics import Statistics
    from fpt_ros.engine.turns import Turns
    from fpt_ros.images import Converter
    from fpt_ros.inference.steps import Steps
    from fpt_ros.ros.outputs import Outputs

    Job = Callable[[], Steps[None]]

NEWEST_ONLY = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
STAMPS_KEPT = 100
MAX_PENDING = 100  # messages on pokes and query_points
ALL = QoSProfile(depth=MAX_PENDING)


class Topics:
    """The subscriptions of one activation, and the current pokes and query points.

    Callbacks only store, or queue a job; the jobs are done in the order of their coming, in the
    engine's thread.
    """

    def __init__(
        self,
        node: Node,
        group: CallbackGroup,
        engine: Engine,
        turns: Turns,
        outputs: Outputs,
        statistics: Statistics,
        convert: Converter,
        on_fault: Callable[[Exception], None],
    ) -> None:
        """ValueError for a quality of service that is not allowed; nothing is left then.

        Args:
            group: of the topics whose messages may be large, pokes and query points.
            convert: what reads raw images.
        """
        self._convert = convert
        self._node, self._engine, self._turns = node, engine, turns
        self._outputs, self._statistics, self._on_fault = outputs, statistics, on_fault
        self._pokes, self._points = NO_POKES, NO_POINTS
        self._camera_info: CameraInfo | None = None
        self._wrong_depth = ""
        self._jobs: deque[Job] = deque()
        self._working = self._image_waits = self._closed = False
        self._lock = threading.Lock()
        compressed = engine.settings.image_transport == "compressed"
        self.image_topic = image_topic(node, compressed)
        self.stamps: deque[float] = deque(maxlen=STAMPS_KEPT)
        """Of the last images, seconds."""
        self._subscriptions: list[Subscription] = []
        try:
            if compressed:
                self._subscribe(CompressedImage, self.image_topic, self._on_compressed_image)
            else:
                self._subscribe(Image, self.image_topic, self._on_image)
            self._subscribe(CameraInfo, camera_info_topic(node), self._on_camera_info)
            transport = engine.settings.depth_image_transport
            self._subscribe(TRANSPORTS[transport], depth_topic(node, transport), self._on_depth)
            # Before pokes, so that those sent after some points are predicted with them.
            self._subscribe(QueryPoints, "query_points", self._on_query_points, ALL, group)
            self._subscribe(PokeArray, "pokes", self._on_pokes, ALL, group)
        except ValueError:
            self.close()
            raise

    def _subscribe(
        self,
        kind: type,
        topic: str,
        callback: Callable[[Any], None],
        qos: QoSProfile = NEWEST_ONLY,
        group: CallbackGroup | None = None,
    ) -> None:
        self._subscriptions.append(subscribe(self._node, kind, topic, callback, qos, group))

    @property
    def image_subscription(self) -> Subscription:
        return self._subscriptions[0]

    def close(self) -> None:
        """Take nothing more in; a running prediction publishes nothing."""
        self._closed = True
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)

    # In the executor's thread

    def _on_image(self, message: Image) -> None:
        self._statistics.count("images")
        with self._refusing("image"):
            check_image(message, reading := self._reading)
            self._keep(message, functools.partial(image_to_rgb, message, reading))

    def _on_compressed_image(self, message: CompressedImage) -> None:
        self._statistics.count("images")
        with self._refusing("image"):
            check_compressed(message, reading := self._reading)
            self._keep(message, functools.partial(compressed_to_rgb, message, reading))

    @property
    def _reading(self) -> Reading:
        settings = self._engine.settings
        return Reading(settings.max_image_pixels, settings.sample_range, self._convert)

    def _keep(self, message: Image | CompressedImage, decode: Callable) -> None:
        frame = Frame(message.header, stamp_of(message.header), decode)
        if frame.stamp == NEWEST:
            self._node.get_logger().warning(
                "images come without a stamp: results cannot be told apart by it", once=True
            )
        self.stamps.append(frame.stamp[0] + frame.stamp[1] * 1e-9)
        self._engine.add_image(frame)
        if self._engine.settings.trigger == "pokes":
            return
        if self._image_waits:
            self._statistics.count("dropped")  # the job that waits will take this image
        else:
            self._image_waits = True
            self._queue(self._take_image)

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._camera_info = message
        topic = self.image_topic.removesuffix("/compressed")
        self._engine.read_camera = functools.partial(read_camera, message, topic)

    def _on_depth(self, message: Image | CompressedImage) -> None:
        """A wrong one is refused once: the next ones are as wrong."""
        try:
            decode = depth_decoder(message, self._engine.settings.max_image_pixels)
        except ImageError as error:
            if str(error) != self._wrong_depth:
                self._refuse(f"depth: {error}")
            self._wrong_depth = str(error)
            return
        self._engine.add_depth(Depth(stamp_of(message.header), decode))

    def _on_query_points(self, message: QueryPoints) -> None:
        self._queue_bounded("query_points", functools.partial(self._take_points, message))

    def _on_pokes(self, message: PokeArray) -> None:
        self._engine.frames.touch(stamp_of(message.header))  # kept until it is the job's turn
        self._queue_bounded("pokes", functools.partial(self._take_pokes, message))

    def _queue_bounded(self, topic: str, job: Job) -> None:
        if len(self._jobs) < MAX_PENDING:
            self._queue(job)
        else:
            self._refuse(f"{topic}: {len(self._jobs)} messages wait already")

    def _queue(self, job: Job) -> None:
        with self._lock:
            self._jobs.append(job)
            begin, self._working = not self._working, True
        if begin:
            self._turns.submit(self._work())

    # In the engine's thread

    def _work(self) -> Steps[None]:
        """All jobs, one after the other, until none is left."""
        while True:
            with self._lock:
                self._working = bool(self._jobs)
                if not self._working:
                    return
                job = self._jobs.popleft()
            yield from job()

    def _take_points(self, message: QueryPoints) -> Steps[None]:
        """Make these the current query points; none: back to the grid."""
        with self._refusing("query_points"):
            points = read_points(message.x, message.y, self._engine.settings.max_queries)
            newest = self._engine.frames.newest()
            if newest is not None:
                self._engine.check_on_image(newest, NO_POKES, points)
            self._points = points
        yield

    def _take_pokes(self, message: PokeArray) -> Steps[None]:
        """Make these the current pokes and predict, if they are a trigger."""
        with self._refusing("pokes"):
            pokes = read_pokes(message.pokes)
            trigger = self._engine.settings.trigger
            if trigger != "pokes" and not len(self._engine.frames):
                self._pokes = pokes  # the first image comes with a prediction of its own
                return
            frame = self._engine.find(stamp_of(message.header), future_is_newest=True)
            self._engine.check_on_image(frame, pokes, NO_POINTS)
            self._pokes = pokes
            if trigger != "image":
                yield from self._predict(frame)

    def _take_image(self) -> Steps[None]:
        """Predict on the newest image with the current pokes."""
        self._image_waits = False
        with self._refusing("image"):
            yield from self._predict(self._engine.find())

    def _predict(self, frame: Frame) -> Steps[None]:
        """One prediction: decode the image, embed it, query the points, publish their motion."""
        engine, outputs = self._engine, self._outputs
        pokes, points, camera_moving = self._pokes, self._points, engine.settings.camera_moving
        engine.check_on_image(frame, pokes, points)  # decodes it
        context = yield from engine.embed(frame)
        motion = yield from engine.query(frame, context, pokes, points, camera_moving)
        if self._closed:
            return
        outputs.publish_motion(motion, frame)
        self._statistics.count("predictions")
        if outputs.wanted("flow"):
            on_grid = motion
            if not motion.grid[0]:
                on_grid = yield from engine.query(frame, context, pokes, NO_POINTS, camera_moving)
            outputs.publish_flow(on_grid, frame)
        outputs.publish_pictures(motion, frame, self._camera_info)

    # In both

    @contextmanager
    def _refusing(self, topic: str) -> Iterator[None]:
        """Refuse a message of this topic for what is wrong with it; a fault is reported as such."""
        try:
            yield
        except (RequestError, ImageError) as error:
            self._refuse(f"{topic}: {error}")
        except Exception as error:
            self._on_fault(error)

    def _refuse(self, reason: str) -> None:
        """Count a message that is refused and log why."""
        self._statistics.refused(reason)
        self._node.get_logger().warning(f"refused {reason}", throttle_duration_sec=2.0)


def image_topic(node: Node, compressed: bool) -> str:
    """The full name of the image's topic, after remappings."""
    topic = node.resolve_topic_name("image")
    return f"{topic}/compressed" if compressed else topic
