# SPDX-License-Identifier: Apache-2.0
"""The camera of a running node: its newest image for the page, and its answers about it."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import OrderedDict
from concurrent.futures import CancelledError, Future, InvalidStateError, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import rclpy
import torch
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from fpt_ros.client import MotionClient, MotionError
from fpt_ros.engine.frames import stamp_text
from fpt_ros.images import compressed_to_rgb, image_to_rgb
from fpt_ros.model import MotionMixture
from fpt_ros.msg import ModelInfo
from fpt_ros.web.pictures import field_arrays, mixture_arrays
from fpt_ros.web.plans import Wish, plan_in_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from builtin_interfaces.msg import Time
    from jaxtyping import UInt8

    from fpt_ros.client import Samples
    from fpt_ros.engine.motion import Motion
    from fpt_ros.web.messages import Request
    from fpt_ros.web.pictures import Arrays

KINDS = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
KEPT = 30
"""Images that are remembered: one of them is what the node has kept, too."""
HOLD = 600.0  # seconds, the longest that the node allows


@dataclasses.dataclass(frozen=True)
class Frame:
    """An image to look at."""

    stamp: str
    """Seconds, a point, nanoseconds."""
    jpeg: UInt8[np.ndarray, " bytes"]


class LiveCamera:
    """Listens to the images that a node listens to. `close` it at the end."""

    def __init__(self, name: str, motion_threshold: float) -> None:
        """Begin to look for the node `name`, such as "/robot/fpt".

        Args:
            motion_threshold: divergence above which something moves along, nats.
        """
        self._threshold = motion_threshold
        self._name = "/" + name.strip("/")
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._node = Node("fpt_web", context=self._context)
        self._client = MotionClient(name=self._name, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._images: OrderedDict[str, Any] = OrderedDict()  # by stamp
        self._lock = threading.Lock()
        self._topic = ""
        self._model: ModelInfo | None = None
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._node.create_subscription(
            ModelInfo, f"{self._name}/model_info", self._keep_model, latched
        )
        self._node.create_timer(0.5, self._find_topic)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._client.close()
        self._executor.shutdown()
        self._thread.join(5.0)
        self._node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def model(self) -> dict[str, str]:
        """That of the node, as `Model` in static/engine.js."""
        told = self._model
        name, licence = (told.checkpoint, told.license) if told else ("not known yet", "")
        return {"name": name, "license": licence, "where": f"the node {self._name}"}

    def newest(self, shown: str) -> Frame | None:
        """The newest image, encoded; None before the first, and if it is that of the stamp `shown`.

        Raises:
            ImageError: it cannot be read.
        """
        with self._lock:
            if not self._images or next(reversed(self._images)) == shown:
                return None
            stamp, message = next(reversed(self._images.items()))
        quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
        jpeg = cv2.imencode(".jpg", _rgb(message)[..., ::-1], quality)[1]
        return Frame(stamp, np.asarray(jpeg, np.uint8).reshape(-1))

    def open(self, stamp: str) -> tuple[LivePicture, UInt8[np.ndarray, "h w 3"]]:
        """The image of that stamp, or the newest that the node has, for questions; and its pixels.

        Raises:
            MotionError, TimeoutError: the node has none or does not answer.
            ValueError: it is an image that was not seen here.
        """
        with self._lock:
            message = self._images.get(stamp)
        try:
            header = self._client.hold(message and message.header.stamp, HOLD)
        except MotionError:
            header = self._client.hold(None, HOLD)
        with self._lock:
            held = self._images.get(_text(header.stamp))
        if held is None:
            raise ValueError("the node's newest image has not arrived here: try again")
        rgb = _rgb(held)
        height, width = rgb.shape[:2]
        return LivePicture(self._client, header.stamp, (width, height), self._threshold), rgb

    def _find_topic(self) -> None:
        """Subscribe to what the node's subscription `image` has become, once it is there."""
        namespace, _, name = self._name.rpartition("/")
        try:
            topics = self._node.get_subscriber_names_and_types_by_node(name, namespace or "/")
        except Exception:  # NodeNameNonExistentError, which has no public name on all distributions
            return
        images = [(topic, kind) for topic, kinds in topics for kind in kinds if kind in KINDS]
        images = [(topic, kind) for topic, kind in images if "depth" not in topic]
        if not images or images[0][0] == self._topic:
            return
        self._topic, kind = images[0]
        self._node.create_subscription(
            KINDS[kind], self._topic, self._keep, qos_profile_sensor_data
        )

    def _keep_model(self, message: ModelInfo) -> None:
        self._model = message

    def _keep(self, message: Any) -> None:
        with self._lock:
            self._images[_text(message.header.stamp)] = message
            while len(self._images) > KEPT:
                self._images.popitem(last=False)


class LivePicture:
    """An image that the node keeps, and answers about."""

    def __init__(
        self, client: MotionClient, stamp: Time, size: tuple[int, int], threshold: float
    ) -> None:
        self.width, self.height = size
        self._client = client
        self._stamp = stamp
        self._threshold = threshold
        self._unpoked: dict[tuple[bool, bytes], Motion] = {}
        self._threads = ThreadPoolExecutor(2, "live")  # for what follows the pointer, and a field

    def ask(self, request: Request) -> Future[Arrays]:
        if request.kind == "plan":
            evaluate = partial(self._client.evaluate_async, stamp=self._stamp)
            return plan_in_thread(Wish.of(request, self.width, self.height), evaluate)
        if request.kind == "sample":
            return self._sample(request)
        return self._threads.submit(
            self._predict if request.kind == "predict" else self._field, request
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.hold_async(self._stamp, 0.0)

    def _predict(self, request: Request) -> Arrays:
        begin = time.perf_counter()
        motion = self._motion(request)
        answer = mixture_arrays(motion.weights, motion.means, motion.covariances)
        return {**answer, "milliseconds": 1e3 * (time.perf_counter() - begin)}

    def _field(self, request: Request) -> Arrays:
        """As `field_arrays`; the threshold is that of the checkpoint loaded here."""
        begin = time.perf_counter()
        motion = self._motion(request)
        key = request.fields["camera_moving"], request.arrays["points"].tobytes()
        if len(request.arrays["pokes"]) and key not in self._unpoked:
            arrays = {**request.arrays, "pokes": np.zeros((0, 4), np.float32)}
            self._unpoked = {key: self._motion(dataclasses.replace(request, arrays=arrays))}
        unpoked = self._unpoked.get(key, motion)
        side = min(self.width, self.height)
        answer = field_arrays(_mixture(motion), _mixture(unpoked), side, self._threshold)
        return {**answer, "milliseconds": 1e3 * (time.perf_counter() - begin)}

    def _motion(self, request: Request) -> Motion:
        return self._client.predict(
            request.arrays["pokes"],
            request.arrays["points"],
            stamp=self._stamp,
            camera_moving=request.fields["camera_moving"],
        )

    def _sample(self, request: Request) -> Future[Arrays]:
        """The node stops when the future is cancelled."""
        begin = time.perf_counter()
        asked = self._client.sample_async(
            request.arrays["pokes"],
            request.arrays["points"],
            request.fields["samples"],
            seed=request.fields["seed"],
            stamp=self._stamp,
            camera_moving=request.fields["camera_moving"],
        )

        def answer(samples: Samples) -> Arrays:
            took = 1e3 * (time.perf_counter() - begin)
            return {"displacements": samples.displacements, "milliseconds": took}

        return then(asked, answer)


def then(asked: Future[Any], read: Callable[[Any], Arrays]) -> Future[Arrays]:
    """What `read` makes of an answer. Cancelling the one cancels the other."""
    future: Future[Arrays] = Future()

    def pass_on(_: Future[Any]) -> None:
        with suppress(InvalidStateError):  # cancelled
            try:
                future.set_result(read(asked.result()))
            except (Exception, CancelledError) as error:
                future.set_exception(error)

    asked.add_done_callback(pass_on)
    future.add_done_callback(lambda _: future.cancelled() and asked.cancel())
    return future


def _mixture(motion: Motion) -> MotionMixture:
    weights, means, covariances = (
        torch.from_numpy(np.asarray(values, np.float64))
        for values in (motion.weights, motion.means, motion.covariances)
    )
    return MotionMixture(weights.log(), means, torch.linalg.cholesky(covariances))


def _rgb(message: Any) -> UInt8[np.ndarray, "h w 3"]:
    convert = image_to_rgb if isinstance(message, Image) else compressed_to_rgb
    return np.asarray(convert(message), np.uint8)


def _text(stamp: Time) -> str:
    return stamp_text((stamp.sec, stamp.nanosec))
