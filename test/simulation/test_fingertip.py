# SPDX-License-Identifier: Apache-2.0
"""The fingertip moves what can move as told, and nothing else."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.fingertip import STRONGEST, Touch, draw

SCENE = """<mujoco><option timestep="0.004" integrator="implicitfast"/><worldbody>
    <geom type="plane" size="2 2 0.1"/>
    <geom name="wall" type="box" size="0.02 0.3 0.1" pos="-0.4 0 0.1"/>
    <body name="drawer" pos="-0.2 0.3 0.05">
      <joint type="slide" axis="0 -1 0" range="0 0.15" limited="true" frictionloss="0.5"
        damping="0.02" armature="0.001"/>
      <geom type="box" size="0.08 0.05 0.04" contype="0" conaffinity="0" density="400"/>
    </body>
    <body name="box" pos="0.1 0 0.04">
      <freejoint/><geom type="box" size="0.05 0.04 0.04" density="400"/>
    </body>
    <body name="next" pos="0.25 0 0.04">
      <freejoint/><geom type="box" size="0.05 0.04 0.04" density="400"/>
    </body></worldbody></mujoco>"""
CAMERA = Camera.looking_at(np.array([0, 0.1, 0]), 80, 40, 1.0, 50, 320, 320)
TOPS = {
    "drawer": [-0.2, 0.3, 0.09],
    "box": [0.1, 0.0, 0.08],
    "next": [0.25, 0.0, 0.08],
    "world": [-0.4, 0.0, 0.2],
}


def drawn(name: str, shift: tuple[float, float]) -> dict[str, np.ndarray]:
    """Displacements [px] of the tops of all things when a finger draws one of them."""
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    before, steps = (model.opt.timestep, model.dof_damping.copy()), []
    draw(model, data, CAMERA, touch(model, name), np.array(shift), lambda *step: steps.append(step))
    assert model.opt.timestep == before[0]
    np.testing.assert_array_equal(model.dof_damping, before[1])
    assert steps[-1][0] == pytest.approx(1.6, abs=0.01)
    return {name: displacement(model, data, name) for name in TOPS}


def touch(model: mujoco.MjModel, name: str) -> Touch:
    return Touch(model.body(name).id, np.array(TOPS[name]))


def displacement(model: mujoco.MjModel, data: mujoco.MjData, name: str) -> np.ndarray:
    body, point = model.body(name).id, np.array(TOPS[name])
    start = mujoco.MjData(model)
    mujoco.mj_forward(model, start)
    moved = data.xpos[body] + data.xmat[body].reshape(3, 3) @ (point - start.xpos[body])
    pixels, _ = CAMERA.project(np.stack([point, moved]))
    return pixels[1] - pixels[0]


@pytest.mark.parametrize("shift", [(-20.0, 15.0), (0.0, -25.0), (18.0, 30.0)])
def test_a_loose_thing_goes_where_it_is_drawn(shift):
    moved = drawn("box", shift)
    np.testing.assert_allclose(moved["box"], shift, atol=2.5)
    for name in ("drawer", "next", "world"):
        np.testing.assert_allclose(moved[name], 0, atol=0.3)


def test_what_stands_in_the_way_is_pushed():
    moved = drawn("box", (45.0, 0.0))
    assert moved["next"][0] > 15


def test_a_drawer_goes_as_its_rail_allows():
    out = drawn("drawer", (4.0, 30.0))["drawer"]
    rail = rail_in_the_image()
    assert abs(out[0] * rail[1] - out[1] * rail[0]) < 1
    assert out @ rail == pytest.approx(np.array([4.0, 30.0]) @ rail, abs=3)  # the nearest it gets
    np.testing.assert_allclose(drawn("drawer", (0.0, -30.0))["drawer"], 0, atol=0.5)  # shut
    far = np.linalg.norm(drawn("drawer", (8.0, 200.0))["drawer"])
    assert far == pytest.approx(np.linalg.norm(drawn("drawer", (8.0, 300.0))["drawer"]), abs=1)


def rail_in_the_image() -> np.ndarray:
    ends, _ = CAMERA.project(np.array([TOPS["drawer"], TOPS["drawer"]]) - [[0, 0, 0], [0, 0.1, 0]])
    return (ends[1] - ends[0]) / np.linalg.norm(ends[1] - ends[0])


def test_the_static_world_stays_where_it_is():
    for moved in drawn("world", (40.0, 10.0)).values():
        np.testing.assert_allclose(moved, 0, atol=0.3)


def test_the_finger_is_not_stronger_than_it_says():
    """A box that weighs more than the finger can drag stays."""
    model = mujoco.MjModel.from_xml_string(SCENE.replace('density="400"', 'density="20000"'))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert model.body_mass[model.body("box").id] * 9.81 > 2 * STRONGEST
    draw(model, data, CAMERA, touch(model, "box"), np.array([30.0, 0.0]))
    np.testing.assert_allclose(displacement(model, data, "box"), 0, atol=2)
