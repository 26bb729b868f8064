# SPDX-License-Identifier: Apache-2.0
"""The client of the node for planners: blocking and asynchronous, from any thread or callback."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING

from fpt_ros.client import requests, results
from fpt_ros.client.connection import Connection
from fpt_ros.client.future import blocking
from fpt_ros.client.results import MotionError
from fpt_ros.geometry import JointKind
from fpt_ros.msg import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from builtin_interfaces.msg import Time
    from numpy.typing import ArrayLike
    from rclpy.context import Context
    from rclpy.node import Node
    from std_msgs.msg import Header

    from fpt_ros.client.future import MotionFuture
    from fpt_ros.client.results import Evaluation, Motion3D, Observation, Samples, Segmentation
    from fpt_ros.engine.motion import Motion

NOT_YET = (ErrorCode.NOT_ACTIVE, ErrorCode.NO_IMAGE)


class MotionClient:
    """Asks the node `fpt` what would move, how, and which poke is best.

    Each question comes in two forms. `predict(...)` waits for the answer and returns it, in any
    thread or callback of any executor: the answers come in by a thread of the client's own.
    `predict_async(...)` returns a `MotionFuture` at once, for `future.result()` in threads and
    `await` in rclpy coroutines. One client may be shared by many threads, outlives restarts of
    the node, and asks on once the node is back.

    Everywhere: pokes are rows (x, y, dx, dy), points rows (x, y), in pixels of the camera's image,
    x right, y down, (0, 0) the centre of the top-left pixel; displacements are over the node's
    prediction horizon. `stamp` is that of the image meant, such as `header.stamp` of an earlier
    answer; None: the newest. `timeout` is in seconds, from asking to answer, waiting for the node
    to appear included; None: the client's.

    Every question raises, or its future ends with:
        ValueError: at once, for an argument that cannot be meant.
        MotionError: the node's answer is an error, see its `code` and `message`.
        TimeoutError: no answer in time; the text says what is known of the reason.
        rclpy.executors.ExternalShutdownException: rclpy was shut down meanwhile.
        RuntimeError: the client is closed, or a blocking form is called in a callback of its own.
    """

    def __init__(
        self,
        node: Node | None = None,
        *,
        name: str = "fpt",
        timeout: float = 30.0,
        context: Context | None = None,
    ) -> None:
        """Start the client; `close` it or use it in a `with` statement.

        Args:
            node: the planner's node, in whose namespace and remappings `name` is resolved and
                whose executor runs the coroutines that await answers. Not needed by scripts.
            name: of the node to ask, such as "/robot/fpt".
            timeout: seconds for each question that gives none of its own; may be infinite.
            context: of rclpy, where there is no `node`; None: the default one.
        """
        self._connection = Connection(node, name, timeout, context)

    def close(self) -> None:
        """End the client: what waits ends with a RuntimeError, goals are canceled."""
        self._connection.close()

    def __enter__(self) -> MotionClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def predict_async(
        self,
        pokes: ArrayLike,
        points: ArrayLike | None = None,
        *,
        stamp: Time | None = None,
        camera_moving: bool = False,
        timeout: float | None = None,
    ) -> MotionFuture[Motion]:
        """The distribution of each point's displacement, given the pokes.

        Args:
            pokes: [P, 4] what is pushed; none: what moves by itself.
            points: [N, 2] whose motion is wanted; None: the node's grid.
        """
        request = requests.predict_request(pokes, points, stamp, camera_moving)
        return self._connection.ask(request, results.read_prediction, timeout)

    def evaluate_async(
        self,
        candidates: Sequence[ArrayLike],
        points: ArrayLike,
        goals: ArrayLike,
        tolerance: float,
        *,
        stamp: Time | None = None,
        camera_moving: bool = False,
        return_motions: bool = False,
        timeout: float | None = None,
    ) -> MotionFuture[Evaluation]:
        """How well each of M candidates brings the points to their goals.

        Args:
            candidates: M times pokes [P, 4]; [M, 4] is M candidates of one poke each.
            points: [N, 2] that matter.
            goals: [N, 2] displacement wanted of each; zero: it must stay.
            tolerance: distance to the goal that still counts as reached [px].
            return_motions: whether the answer also has each candidate's distributions.
        """
        request = requests.evaluate_request(
            candidates, points, goals, tolerance, stamp, camera_moving, return_motions
        )
        read = functools.partial(results.read_evaluation, candidates=len(candidates))
        return self._connection.ask(request, read, timeout)

    def segment_async(
        self,
        pokes: ArrayLike,
        *,
        stamp: Time | None = None,
        camera_moving: bool = False,
        timeout: float | None = None,
    ) -> MotionFuture[Segmentation]:
        """Which pixels move along with the pokes [P, 4]."""
        request = requests.segment_request(pokes, stamp, camera_moving)
        return self._connection.ask(request, results.read_segmentation, timeout)

    def sample_async(
        self,
        pokes: ArrayLike,
        points: ArrayLike | None = None,
        samples: int = 1,
        *,
        seed: int | None = None,
        stamp: Time | None = None,
        camera_moving: bool = False,
        progress: Callable[[int, int], None] | None = None,
        timeout: float | None = None,
    ) -> MotionFuture[Samples]:
        """Joint futures of the points. The node stops when the future is canceled or times out.

        Args:
            pokes: [P, 4] what is pushed; none: what moves by itself.
            points: [N, 2] whose motion is wanted; None: the node's grid.
            samples: number of futures.
            seed: the same number draws the same futures; None or 0: drawn anew.
            progress: called with the points done and the points in all, in the client's thread;
                what it raises ends the question.
        """
        goal = requests.sample_goal(pokes, points, samples, seed, stamp, camera_moving)
        return self._connection.send_goal(goal, results.read_samples, progress, timeout)

    def hold_async(
        self,
        stamp: Time | None = None,
        seconds: float = 60.0,
        *,
        timeout: float | None = None,
    ) -> MotionFuture[Header]:
        """Have an image kept, so that it can be asked about while newer ones come; its header.

        Args:
            seconds: how long from now on, at most 600, whatever a former call said; 0: no longer.
        """
        request = requests.hold_request(stamp, seconds)
        return self._connection.ask(request, results.read_hold, timeout)

    def predict_3d_async(
        self,
        pokes: ArrayLike = (),
        points: ArrayLike | None = None,
        *,
        pokes_3d: ArrayLike = (),
        frame_id: str = "",
        poke_spread: float = 0.0,
        mask: ArrayLike | None = None,
        kind: JointKind = JointKind.UNKNOWN,
        up: ArrayLike | None = None,
        stamp: Time | None = None,
        camera_moving: bool = False,
        timeout: float | None = None,
    ) -> MotionFuture[Motion3D]:
        """The joints that a part would have whose points move as the pokes say, in metres.

        Two or more pokes of one part; one is enough only with a `kind`. Where no joint can be
        told, a NoJointError with the hypotheses.

        Args:
            pokes: [P, 4] in pixels, and, or instead,
            pokes_3d: [P, 6] x, y, z and dx, dy, dz of points [m], in the frame
            frame_id: which takes TF; empty: the image's own.
            poke_spread: standard deviation of where pokes end [px]; 0: exact to a pixel.
            points: [N, 2] whose motion is wanted; None: some of the part.
            mask: [h, w] true on the part; None: predicted.
            kind: of the joint, if known.
            up: [3] against gravity in the optical frame, if known.
        """
        request = requests.predict_3d_request(
            pokes,
            points,
            pokes_3d,
            frame_id,
            poke_spread,
            mask,
            kind,
            up,
            stamp,
            camera_moving,
        )
        return self._connection.ask(request, results.read_motion_3d, timeout)

    def observe_async(
        self,
        stamp_before: Time,
        pokes: ArrayLike,
        *,
        stamp_after: Time | None = None,
        kind: JointKind = JointKind.UNKNOWN,
        up: ArrayLike | None = None,
        timeout: float | None = None,
    ) -> MotionFuture[Observation]:
        """What a push was seen to do between two images, its joint, and how likely that was.

        Args:
            stamp_before: of the image before the push; `hold` it first.
            pokes: [P, 4] what was done.
            stamp_after: of the image after it; None: the newest.
            kind, up: as in `predict_3d`.
        """
        request = requests.observe_request(stamp_before, pokes, stamp_after, kind, up)
        return self._connection.ask(request, results.read_observation, timeout)

    predict = blocking(predict_async)
    evaluate = blocking(evaluate_async)
    segment = blocking(segment_async)
    sample = blocking(sample_async)
    predict_3d = blocking(predict_3d_async)
    observe = blocking(observe_async)
    hold = blocking(hold_async)

    def wait_until_ready(self, timeout: float | None = None) -> None:
        """Wait until the node is there and active and has an image, as when all start together.

        Raises:
            TimeoutError: if it is not within `timeout` seconds; says what is missing.
        """
        seconds = self._connection.seconds(timeout)
        end = time.monotonic() + seconds
        missing: MotionError | None = None
        while missing is None or time.monotonic() < end:
            try:
                self.hold(seconds=0, timeout=max(end - time.monotonic(), 0.1))
                return
            except MotionError as error:
                if error.code not in NOT_YET:
                    raise
                missing = error
            except TimeoutError:
                if missing is None:
                    raise
            time.sleep(0.1)
        raise TimeoutError(f"not ready after {seconds:g} s: {missing.message}") from missing
