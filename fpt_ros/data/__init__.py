# SPDX-License-Identifier: Apache-2.0
"""Training data from videos and ROS 2 bags: `fpt-data shard`, `track`, `inspect`, `measure`.

Data format
-----------
WebDataset tar shards `shard-000000.tar`, as the scripts of the paper's authors write and read
them. A sample is a clip, of a square part of a video:

`video.mpg`       MPEG-1 video in an MPEG program stream, square frames. Its frame rate says
                  nothing (MPEG-1 knows eight of them); `meta.json` says the true one.
`tracks.npy`      float32 [t, n, 2], where each of n points is in each frame: (x, y) in [0, 1]
                  from the outer top-left corner to the outer bottom-right one, the centre of pixel
                  i at (i + 0.5) / side. Points may leave the frame. `fpt-data track` adds it.
`visibility.npy`  bool [t, n], whether the point is seen there. Added with the tracks.
`bodies.npy`      int32 [n], the rigid body each point lies on; 0 is the world, which never moves.
                  Optional: only simulation knows it (`fpt-sim`).
`meta.json`       source (file or bag topic), start [s] in it, rate [frames/s]. Optional.

Training asks where points are `skip` frames later (25 by default), so that its horizon is
`skip / rate` seconds, and a clip of t frames has t - skip frames to start from: none at all
unless it is longer than `skip`.
"""

DEFAULT_SKIP = 25
"""Frames from a picture to its target in training."""
