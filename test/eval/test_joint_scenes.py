# SPDX-License-Identifier: Apache-2.0
"""Scenes with a known joint, and what answers about it are worth."""

import itertools

import numpy as np
import pytest

pytest.importorskip("mujoco")

from fpt_ros.eval import joints as joints_eval
from fpt_ros.eval.__main__ import main
from fpt_ros.eval.joint_answers import of_joints
from fpt_ros.eval.joint_tables import tables
from fpt_ros.eval.known_joints import SIZE, KnownJoint
from fpt_ros.eval.shares import share
from fpt_ros.geometry import depth_at
from fpt_ros.simulation.joint_scenes import joint_scenes, noisy_depth


@pytest.fixture(scope="module", params=[False, True], ids=["square", "askew"])
def known(request):
    some = joint_scenes(3, SIZE, joints_eval.WAYS, unseen=True, tilted=request.param)
    [scene] = itertools.islice(some, 1)
    return KnownJoint(scene, 0, np.random.default_rng(0))


def test_the_picture_after_shows_the_part_where_the_joint_takes_it(known):
    way = joints_eval.WAYS[-1]
    truth = known.truth(known.points, way)
    assert np.linalg.norm(truth, axis=1).mean() == pytest.approx(way, rel=0.1)
    ends = known.points + truth
    depth = depth_at(known.scene.after[way][0].depth, known.camera.project(ends), window=1)
    assert np.nanmedian(np.abs(depth - ends[:, 2])) < 0.003


def test_exact_flow_with_little_noise_gives_the_joint(known):
    answers = list(joints_eval.exact_flow(known))
    first = answers[0]
    assert first.way == "joint" and first.kind_right and first.error < 0.1
    assert {answer.way for answer in answers} == {"joint", "naive", "translation", "perspective"}
    assert "Slides" in tables(answers) or "Hinges" in tables(answers)


def test_no_answer_is_not_a_good_one(known):
    about = known.about | {"asked": "", "way": "joint"}
    answer = of_joints(about, known, joints_eval.WAYS[0], [])
    assert not answer.usable and not answer.wanted
    assert answer.as_json()["error"] is None


def test_noisy_depth_has_noise_and_holes():
    depth = noisy_depth(np.ones((240, 240)), np.random.default_rng(0))
    assert 0.04 < np.isnan(depth).mean() < 0.1
    off = np.abs(depth - 1)[np.isfinite(depth)]
    assert 0.002 < np.median(off) < 0.004
    assert 0.02 < np.mean(off > 0.02) < 0.04


def test_intervals_are_wilsons():
    assert share([True] * 17 + [False] * 13) == "17/30 (0.39-0.73)"


def test_too_few_scenes_are_refused(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--joints", "--scenes", "1", "--out", "nowhere"])
    assert ended.value.code == 2
    assert "must be at least 4" in capsys.readouterr().err
