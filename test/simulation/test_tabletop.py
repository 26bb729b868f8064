"""Every mechanism of the procedural tables really moves, and only as its joints allow."""

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation import futures, looks, tabletop
from fpt_ros.simulation.things import MECHANISMS
from fpt_ros.simulation.unseen import UNSEEN

HINGE, SLIDE = mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE


@pytest.mark.parametrize("name", [*MECHANISMS, *UNSEEN])
def test_mechanism_moves_and_is_pictured(name, monkeypatch):
    everything = {**MECHANISMS, **UNSEEN}
    monkeypatch.setattr(tabletop, "MECHANISMS", {name: everything[name]})
    model = tabletop.build(np.random.default_rng(0)).model
    spans = np.ptp(model.jnt_range, axis=1)
    assert (spans[model.jnt_type == HINGE] > 0.6).all()  # radians
    assert (spans[model.jnt_type == SLIDE] > 0.02).all()  # metres
    made = (
        picture
        for seed in range(4)
        for picture in tabletop.pictures(np.random.default_rng(seed), 64, {})
    )
    assert name in next(made).meta["scene"]


def test_same_seed_same_scene():
    first, second = (tabletop.build(np.random.default_rng(7)) for _ in range(2))
    assert first.names == second.names
    np.testing.assert_array_equal(first.model.geom_pos, second.model.geom_pos)


def test_things_stand_still_on_the_table():
    """Left alone for half a second, loose things stay where they were put."""
    for seed in range(8):
        model = tabletop.build(np.random.default_rng(seed)).model
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        before = data.xpos.copy()
        for _ in range(round(0.5 / model.opt.timestep)):
            mujoco.mj_step(model, data)
        loose = model.jnt_bodyid[model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]
        assert np.abs(data.xpos - before)[loose].max(initial=0) < 0.01, f"seed {seed}"


def test_pushed_box_pushes_the_next_one():
    """Futures from dynamics: what is pushed moves what stands in its way."""
    model = mujoco.MjModel.from_xml_string("""<mujoco><option timestep="0.004"/><worldbody>
        <geom type="plane" size="2 2 0.1"/>
        <body pos="0 0 0.05"><freejoint/><geom type="box" size="0.05 0.05 0.05"/></body>
        <body pos="0.11 0 0.05"><freejoint/><geom type="box" size="0.05 0.05 0.05"/></body>
        </worldbody></mujoco>""")
    scratch, rng = mujoco.MjData(model), np.random.default_rng(0)
    both = [
        np.linalg.norm(future.poses.positions[1:, :2] - [[0, 0], [0.11, 0]], axis=1).min()
        for future in (futures.dynamics(model, scratch, model.qpos0, [0], rng) for _ in range(20))
    ]
    assert 2 <= np.count_nonzero(np.array(both) > 0.01) <= 18


def test_exposure_brightens_dark_pictures_without_burning_them_out():
    rng = np.random.default_rng(0)
    dark = rng.integers(0, 30, (64, 64, 3)).astype(np.uint8)
    for _ in range(20):
        shown = looks.exposed(dark, rng)
        assert 60 < shown.mean() < 160
        assert (shown == 255).mean() < 0.06
