# SPDX-License-Identifier: Apache-2.0
"""Makes the recording that the demo plays: a simulated robot's camera as a ROS 2 bag.

    python -m fpt_ros.apps.record recordings/drawer

The bag holds the camera's compressed images and its CameraInfo; `pushes.json` beside it says what
the demo asks about, with the true outcomes, which simulation knows.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage
from std_msgs.msg import Header

from fpt_ros.apps.bags import write_bag
from fpt_ros.apps.scenes import IMAGE_TOPIC, PUSHES_FILE
from fpt_ros.simulation.recording import Poke, record, side_view

if TYPE_CHECKING:
    from jaxtyping import UInt8

JPEG_QUALITY = 88
FRAME_ID = "camera_optical_frame"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path, help="a new folder")
    out = parser.parse_args().out
    out.mkdir(parents=True)
    recording = record()
    height, width = recording.frames.shape[1:3]
    period = round(1e9 / recording.rate)
    with write_bag(out / "bag") as write:
        for i, frame in enumerate(recording.frames):
            time_ns = period * (i + 1)  # zero would mean: no stamp
            stamp = Time(sec=time_ns // 10**9, nanosec=time_ns % 10**9)
            header = Header(stamp=stamp, frame_id=FRAME_ID)
            write(IMAGE_TOPIC, compressed(frame, header), time_ns)
            write("/camera/camera_info", camera_info(width, height, header), time_ns)
    entries = [push_entry(poke) for poke in recording.pokes]
    (out / PUSHES_FILE).write_text(json.dumps(entries, indent=1) + "\n")


def compressed(frame: UInt8[np.ndarray, "h w 3"], header: Header) -> CompressedImage:
    """RGB to JPEG, labelled as image_transport does."""
    data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    return CompressedImage(header=header, format="rgb8; jpeg compressed bgr8", data=data.tobytes())


def camera_info(width: int, height: int, header: Header) -> CameraInfo:
    """A pinhole without distortion; ROS counts pixels from the centre of the first one."""
    focal = height / 2 / np.tan(np.radians(side_view(width, height).fovy) / 2)
    k = [focal, 0.0, (width - 1) / 2, 0.0, focal, (height - 1) / 2, 0.0, 0.0, 1.0]
    p = [*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0]
    return CameraInfo(
        header=header, width=width, height=height, distortion_model="plumb_bob",
        d=[0.0] * 5, k=k, r=np.eye(3).ravel().tolist(), p=p,
    )  # fmt: skip


def push_entry(poke: Poke) -> dict:
    """A poke as an entry of the pushes file, see `fpt_ros.apps.scenes.read_push`."""
    points = []
    for name, (x, y) in poke.points.items():
        dx, dy = np.round(poke.flow[y, x].astype(float), 1)
        points.append({"name": name, "x": x, "y": y, "dx": dx, "dy": dy})
    return {
        "title": poke.name,
        "frame": poke.frame,
        "poke": [*poke.position, *np.round(poke.displacement, 1).tolist()],
        "points": points,
    }


if __name__ == "__main__":
    main()
