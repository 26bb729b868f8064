# SPDX-License-Identifier: Apache-2.0
"""A small scene whose motion is known: stacked and neighbouring boxes, and a drawer."""

import mujoco
import numpy as np

from fpt_ros.simulation.events import State

BOXES = """<mujoco><option timestep="0.004" integrator="implicitfast"/><worldbody>
    <geom type="plane" size="2 2 0.1" friction="0.3"/>
    <body name="lower" pos="0 0 0.03"><freejoint/>
      <geom type="box" size="0.05 0.05 0.03" friction="0.7"/></body>
    <body name="upper" pos="0 0 0.08"><freejoint/>
      <geom type="box" size="0.03 0.03 0.02" friction="0.7"/></body>
    <body name="next" pos="0.13 0 0.03"><freejoint/>
      <geom type="box" size="0.05 0.05 0.03" friction="0.3"/></body>
    </worldbody></mujoco>"""
LOWER, UPPER, NEXT = range(3)


def boxes() -> tuple[mujoco.MjModel, mujoco.MjData, State]:
    """The boxes at rest."""
    model = mujoco.MjModel.from_xml_string(BOXES)
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, nstep=50)
    return model, data, State.at_rest(model, data.qpos)


def places(state: State) -> np.ndarray:
    """Where the boxes' middles are, metres."""
    return state.qpos.reshape(-1, 7)[:, :3]
