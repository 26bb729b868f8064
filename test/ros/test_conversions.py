# SPDX-License-Identifier: Apache-2.0
"""Motions to messages and back, through the bytes that DDS would send."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from fpt_ros.msg import MotionDistributions
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as numpy_arrays
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header

from fpt_ros.engine.motion import Motion
from fpt_ros.ros.conversions import (
    flow_to_message,
    motion_from_message,
    motion_to_message,
    rgb_to_message,
    seconds_to_duration,
)

HEADER = Header(stamp=Time(sec=5, nanosec=7), frame_id="camera")


def motion(n=6, k=3, pokes=2, grid=(3, 2)):
    random = np.random.default_rng(0)
    roots = random.normal(size=(n, k, 2, 2))
    return Motion(
        pokes=random.uniform(0, 9, (pokes, 4)).astype(np.float32),
        points=random.uniform(0, 9, (n, 2)).astype(np.float32),
        weights=random.dirichlet(np.ones(k), n).astype(np.float32),
        means=random.normal(size=(n, k, 2)).astype(np.float32),
        covariances=(roots @ np.swapaxes(roots, -1, -2)).astype(np.float32),
        image_size=(640, 480),
        camera_moving=True,
        grid=grid,
        horizon=0.25,
    )


def arrays(*shape):
    numbers = st.floats(width=32, allow_nan=False)
    return numpy_arrays(np.float32, shape, elements=numbers)


@st.composite
def motions(draw):
    """Of any number of points, Gaussians and pokes, with any finite or infinite values."""
    n, k, pokes = draw(st.integers(0, 4)), draw(st.integers(1, 3)), draw(st.integers(0, 3))
    covariances = draw(arrays(n, k, 2, 2))
    covariances[..., 1, 0] = covariances[..., 0, 1]
    return Motion(
        pokes=draw(arrays(pokes, 4)),
        points=draw(arrays(n, 2)),
        weights=draw(arrays(n, k)),
        means=draw(arrays(n, k, 2)),
        covariances=covariances,
        image_size=draw(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))),
        camera_moving=draw(st.booleans()),
        grid=draw(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))),
        horizon=draw(st.integers(0, 60 * 10**9)) * 1e-9,
    )


@given(motions())
@settings(deadline=None)
def test_round_trip(before):
    sent = serialize_message(motion_to_message(before, HEADER))
    message = deserialize_message(sent, MotionDistributions)
    after = motion_from_message(message)
    for field in ("pokes", "points", "weights", "means", "covariances"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    for field in ("image_size", "camera_moving", "grid"):
        assert getattr(after, field) == getattr(before, field)
    assert after.horizon == pytest.approx(before.horizon, abs=1e-9)
    assert message.header == HEADER


def test_layout_is_the_documented_one():
    before = motion()
    message = motion_to_message(before, HEADER)
    assert message.means[2 * (3 * 4 + 1) + 1] == before.means[4, 1, 1]
    xx, xy, yy = message.covariances[3 * (3 * 4 + 1) :][:3]
    np.testing.assert_array_equal([[xx, xy], [xy, yy]], before.covariances[4, 1])


def test_mean_is_that_of_the_mixture():
    moved = motion()
    expected = [
        sum(w * m for w, m in zip(*row, strict=True))
        for row in zip(moved.weights, moved.means, strict=True)
    ]
    np.testing.assert_allclose(moved.mean, expected, rtol=1e-5)
    np.testing.assert_array_equal(moved.flow[1, 2], moved.mean[5])


def test_flow_needs_a_grid():
    with pytest.raises(ValueError, match="scattered"):
        _ = motion(grid=(0, 0)).flow


def test_message_whose_lengths_do_not_fit():
    message = motion_to_message(motion(), HEADER)
    message.weights = message.weights[:-1]
    with pytest.raises(ValueError, match="weights has 17 entries: must be 6 x 3"):
        motion_from_message(message)


def test_images():
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    message = rgb_to_message(rgb, HEADER)
    assert (message.encoding, message.width, message.height, message.step) == ("rgb8", 4, 2, 12)
    assert bytes(message.data) == rgb.tobytes()
    flow = np.random.default_rng(0).normal(size=(2, 4, 2)).astype(np.float32)
    message = flow_to_message(flow, HEADER)
    assert (message.encoding, message.step) == ("32FC2", 32)
    np.testing.assert_array_equal(np.frombuffer(message.data, np.float32).reshape(flow.shape), flow)


@pytest.mark.parametrize(
    ("seconds", "parts"), [(0.0, (0, 0)), (1.5, (1, 500_000_000)), (0.1, (0, 100_000_000))]
)
def test_durations(seconds, parts):
    duration = seconds_to_duration(seconds)
    assert (duration.sec, duration.nanosec) == parts
