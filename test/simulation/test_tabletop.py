# SPDX-License-Identifier: Apache-2.0
"""Every mechanism of the procedural tables really moves, and only as its joints allow."""

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation import furnishing, looks, room, tabletop
from fpt_ros.simulation.contraption import RADIUS, contraption
from fpt_ros.simulation.mechanisms import MECHANISMS
from fpt_ros.simulation.spot import Spot
from fpt_ros.simulation.unseen import UNSEEN

HINGE, SLIDE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE


@pytest.mark.parametrize("name", [*MECHANISMS, *UNSEEN, "contraption"])
def test_mechanism_moves_and_is_filmed(name, monkeypatch):
    everything = {**MECHANISMS, **UNSEEN, "contraption": (contraption, RADIUS)}
    monkeypatch.setattr(furnishing, "MECHANISMS", {name: everything[name]})
    monkeypatch.setattr(furnishing, "MORE_ARMS", 0)
    scenes = (tabletop.build(np.random.default_rng(seed)) for seed in range(20))
    scene = next(scene for scene in scenes if scene.names.startswith(name))
    model, spans = scene.model, np.ptp(scene.model.jnt_range, axis=1)
    least = 0.45 if name == "contraption" else 0.6
    assert (spans[model.jnt_type == HINGE] > least).all()  # radians
    assert (spans[model.jnt_type == SLIDE] > 0.01).all()  # metres
    assert len(scene.focus) >= 1
    made = (
        clip
        for seed in range(8)
        for clip in tabletop.clips(np.random.default_rng(seed), 64, 2, 0.0, {})
        if clip.meta["scene"].startswith(name)
    )
    assert next(made).bodies.max() > 0


def test_contraptions_stand_in_for_other_mechanisms():
    """Where none are asked for there is none; where all are to be, there is nothing else."""
    names = {
        share: {
            name
            for seed in range(12)
            for name in tabletop.build(np.random.default_rng(seed), contraptions=share).names.split(
                "+"
            )
        }
        for share in (0.0, 1.0)
    }
    assert "contraption" not in names[0.0] and len(names[0.0] & {*MECHANISMS}) > 5
    assert "contraption" in names[1.0] and not names[1.0] & {*MECHANISMS}


def test_parts_of_contraptions_do_not_move_into_their_base():
    """From where they are built, a little towards either end of their range."""
    free = []
    for seed in range(60):
        spec, rng = mujoco.MjSpec(), np.random.default_rng(seed)
        spec.compiler.degree = False
        materials = room.add_materials(spec, rng)
        base = spec.worldbody.add_body(pos=[0, 0, 0.5])
        contraption(Spot(base, materials, rng, spec.worldbody))
        model = spec.compile()
        data = mujoco.MjData(model)
        solid = model.body_geomadr
        for joint, end in np.ndindex(model.njnt, 2):
            gaps, part = [], solid[model.jnt_bodyid[joint]]
            for share in (0, 0.05):
                data.qpos[:] = 0
                data.qpos[joint] = share * model.jnt_range[joint, end]
                mujoco.mj_kinematics(model, data)
                gaps.append(mujoco.mj_geomDistance(model, data, solid[1], part, 1.0, None))
            free.append(gaps[1] > gaps[0] - 0.001)
    assert len(free) > 100
    assert np.mean(free) > 0.9  # some that are held askew do


def test_same_seed_same_scene():
    first, second = (tabletop.build(np.random.default_rng(7)) for _ in range(2))
    assert first.names == second.names
    np.testing.assert_array_equal(first.model.geom_pos, second.model.geom_pos)


def test_things_stand_still_on_the_table():
    """Left alone for half a second, loose things stay where a clip begins, piles and all."""
    still = []
    for seed in range(24):
        rng = np.random.default_rng(seed)
        stage = tabletop.TabletopStage(tabletop.build(rng))
        model, data = stage.model, mujoco.MjData(stage.model)
        data.qpos[:] = stage.begin(rng).qpos
        mujoco.mj_forward(model, data)
        before = data.xpos.copy()
        mujoco.mj_step(model, data, nstep=round(0.5 / model.opt.timestep))
        loose = model.jnt_bodyid[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]
        still += list(np.abs(data.xpos - before)[loose].max(1) < 0.01)
    assert len(still) > 20
    assert np.mean(still) > 0.85  # some roll


def test_dropped_things_lie_on_something():
    """Things begin just above what they are dropped on; often it is higher than the table."""
    gaps, heights = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scene = tabletop.build(rng)
        data, geom = mujoco.MjData(scene.model), np.zeros(1, np.int32)
        data.qpos[:] = tabletop.start_pose(scene, rng)
        mujoco.mj_kinematics(scene.model, data)
        for joint, (_, half) in scene.dropped.items():
            body = int(scene.model.jnt_bodyid[joint])
            bottom = data.xpos[body] - [0, 0, half]
            down = np.array([0.0, 0, -1])
            gaps.append(mujoco.mj_ray(scene.model, data, bottom, down, None, 1, body, geom))
            heights.append(bottom[2])
    assert len(gaps) > 8
    np.testing.assert_allclose(gaps, 0.003, atol=1e-6)
    assert np.mean(np.array(heights) > 0.02) > 0.3


def test_exposure_brightens_dark_pictures_without_burning_them_out():
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 30, (64, 64, 3)).astype(np.uint8)
    for _ in range(20):
        shown = looks.exposed(dark, rng)
        assert 60 < shown.mean() < 160
        assert (shown == 255).mean() < 0.06
