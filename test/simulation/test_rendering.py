# SPDX-License-Identifier: Apache-2.0
"""Pictures that no screen has to show."""

import os
import subprocess
import sys

import pytest

RENDER = """
import {first}, {second}, numpy
from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.rendering import Renderer
scene = "<mujoco><worldbody><geom size='.1' rgba='1 0 0 1'/></worldbody></mujoco>"
model = mujoco.MjModel.from_xml_string(scene)
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
with Renderer(model, 32, 32) as renderer:
    print(renderer.colour(data, Camera.looking_at(numpy.zeros(3), 0, 20, 1, 40, 32, 32)).shape)
"""


@pytest.mark.parametrize("display", ["", ":4711", "nowhere.invalid:10.0"])
@pytest.mark.parametrize(
    "imported", [("fpt_ros.simulation", "mujoco"), ("mujoco", "fpt_ros.simulation")]
)
def test_a_screen_that_is_not_there_is_not_needed(display, imported):
    """DISPLAY is that of a connection that is gone, or there is none."""
    environment = {**os.environ, "DISPLAY": display}
    environment.pop("MUJOCO_GL", None)
    script = RENDER.replace("{first}", imported[0]).replace("{second}", imported[1])
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(32, 32, 3)\n"
