# SPDX-License-Identifier: Apache-2.0
"""Simulated robot scenes with exact motion, and clips of them: `fpt-sim`.

Sources, all in MuJoCo: Meta-World's robot tasks with their scripted experts (`metaworld_scenes`),
procedural table tops (`tabletop`), and, never trained on, scenes of others (`borrowed`). A clip is
a chain of a few frames, and between them something happens: the expert goes on, a joint moves,
something is pushed and pushes other things (`events`). See `splits` for what is in which split.

Clips are samples of `fpt_ros.data`: `<out>/<split>/shard-000000.tar`. Their tracks are exact; in
each frame 64 begin anywhere in the picture and 100 on bodies that can move. A track on the sky
turns with the camera as a direction does. `meta.json` says

source, scene    "metaworld" and the task, "procedural" and the things in the scene, or
                 "gymnasium-robotics" and the scene
seed             the integers that its random generator was seeded with
rate             3, nominal: frames are 0.05 to 0.5 s apart, or poses without a duration
camera           "static" or "moving"
events, dt       what happened between frames ("expert", "arm", "kinematic", "dynamics"), and how
                 many seconds it took, 0 for a pose
"""

import ctypes.util
import os
import sys

if sys.platform.startswith("linux"):
    # Never on a screen, which may be that of an ssh connection that is gone: in software if its
    # library is there, else through the driver's EGL. MUJOCO_GL says otherwise.
    os.environ.setdefault("MUJOCO_GL", "osmesa" if ctypes.util.find_library("OSMesa") else "egl")
