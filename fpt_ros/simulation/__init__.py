"""Simulated robot scenes with exact motion, and the data set made from them.

Two sources, both in MuJoCo: Meta-World's robot tasks with their scripted experts
(`metaworld_scenes`) and procedural table tops (`tabletop`). `python -m fpt_ros.simulation`
writes the data set; see `splits` for what is in which split.

Data format
-----------
WebDataset tar shards `<out>/<split>/shard-000000.tar`, up to 500 pictures each; splits `train`,
`val`, `heldout_a` to `heldout_d`. A sample is one picture with several possible futures:

`image.png`   RGB picture, square (160 x 160 by default)
`points.npy`  float32 [n, 2], positions in [0, 1]^2: x right, y down, (0, 0) the outer top-left
              corner; the centre of pixel i is at (i + 0.5) / size
`flows.npy`   float32 [F, n, 2], displacement of each point in each future, in image sides
`bodies.npy`  int32 [n], rigid group of each point: 0 is the static world, points with the same
              number move rigidly together in every future
`meta.json`   source ("metaworld" or "procedural"), scene (task or object types), seed (the
              integers its random generator was seeded with), uniform (how many of the first
              points were drawn uniformly over the image), dt (seconds per future, 0 where the
              future is a pose and has no duration), kinds ("expert", "arm", "kinematic" or
              "dynamics" per future)

The first 96 points are uniform over the image, the other 160 lie on bodies that can move. The
camera does not move. Flow is where the body's point goes, whether or not it is visible there.
"""

import ctypes.util
import os
import sys

if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
    # Without a screen: in software if its library is there, else through the driver's EGL.
    os.environ.setdefault("MUJOCO_GL", "osmesa" if ctypes.util.find_library("OSMesa") else "egl")
