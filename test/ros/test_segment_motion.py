# SPDX-License-Identifier: Apache-2.0
"""segment_motion on a running node: the library's answer at the image's size, or an error."""

from __future__ import annotations

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from fpt_ros.msg import ErrorCode
from fpt_ros.srv import SegmentMotion
from ros_harness import FRAME, as_pokes

from fpt_ros.inference.predictor import Predictor

POKE = (220.0, 150.0, 40.0, 0.0)


def segment(planner, *pokes, **fields):
    request = SegmentMotion.Request(pokes=as_pokes(pokes), **fields)
    return planner.call("fpt/segment_motion", SegmentMotion, request)


@pytest.fixture(scope="module")
def trained(start_node_of_module):
    """The planner of a node with a model that tells what moves from what stays."""
    return start_node_of_module(autostart=True, checkpoint="embedded")[1]


@pytest.mark.parametrize("camera_moving", [False, True])
def test_answer_is_the_librarys_at_the_images_size(trained, camera_moving):
    planner = trained
    picture = np.random.default_rng(0).integers(0, 255, (5, 7, 3), np.uint8)
    picture = picture.repeat(64, 0).repeat(64, 1)
    stamp = planner.kept_image(picture)
    answer = segment(planner, POKE, stamp=stamp, camera_moving=camera_moving)
    assert (answer.error_code, answer.error_msg) == (ErrorCode.NONE, "")
    for image, encoding, size in ((answer.divergence, "32FC1", 4), (answer.mask, "mono8", 1)):
        assert (image.header.stamp, image.header.frame_id) == (stamp, FRAME)
        assert (image.width, image.height, image.encoding) == (448, 320, encoding)
        assert (image.step, len(image.data)) == (448 * size, 320 * 448 * size)
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    part = predictor.segment(predictor.embed(picture), [POKE], camera_moving)
    divergence = np.frombuffer(answer.divergence.data, np.float32).reshape(320, 448)
    np.testing.assert_allclose(divergence, part.divergence, atol=1e-3, rtol=1e-3)
    mask = np.frombuffer(answer.mask.data, np.uint8).reshape(320, 448)
    assert set(np.unique(mask)) == ({255} if part.moves.all() else {0, 255})
    assert camera_moving or not part.moves.all()
    assert mask[150, 220] == 255
    assert np.mean((mask == 255) == part.moves) > 0.999  # a pixel on the edge may go either way


@pytest.mark.parametrize(
    ("pokes", "fields", "code", "words"),
    [
        ([], {}, "INVALID_REQUEST", ["pokes is empty", "at least 1"]),
        ([(96, 5, 0, 0)], {}, "INVALID_REQUEST", ["pokes[0].x is 96.0", "95.5"]),
        ([(5, 5, float("nan"), 0)], {}, "INVALID_REQUEST", ["pokes[0].dx is nan", "finite"]),
        ([(5, 5, 1, 0)] * 129, {}, "TOO_LARGE", ["pokes has 129", "128"]),
        ([(5, 5, 1, 0)], {"stamp": Time(sec=3)}, "IMAGE_NOT_KEPT", ["stamp 3.0", "not kept"]),
    ],
)
def test_bad_request_is_answered_with_an_error(planner, pokes, fields, code, words):
    answer = segment(planner, *pokes, **fields)
    assert answer.error_code == getattr(ErrorCode, code), answer.error_msg
    assert all(word in answer.error_msg for word in words), answer.error_msg
    assert len(answer.mask.data) == len(answer.divergence.data) == 0
