# SPDX-License-Identifier: Apache-2.0
"""Tiny videos whose motion is known, and the command under test."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np

cv2.setNumThreads(1)


def texture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """A picture with something to follow everywhere."""
    rng = np.random.default_rng(seed)
    coarse, fine = (
        cv2.resize(rng.integers(0, 256, (height // k, width // k, 3), dtype=np.uint8),
                   (width, height), interpolation=cv2.INTER_CUBIC)
        for k in (16, 6)
    )  # fmt: skip
    return cv2.addWeighted(coarse, 0.6, fine, 0.4, 0)


def moving(frames: int, speed: float = 1.0, size: int = 96, seed: int = 0) -> np.ndarray:
    """A texture that moves to the right by `speed` pixels a frame."""
    wide = texture(size, size + round(frames * abs(speed)) + 2, seed)
    pictures = []
    for time in range(frames):
        shift = np.float32([[1, 0, time * speed - (wide.shape[1] - size - 1)], [0, 1, 0]])
        pictures.append(cv2.warpAffine(wide, shift, (size, size), flags=cv2.INTER_LINEAR))
    return np.stack(pictures)


def write_video(path: Path, frames: np.ndarray, rate: int = 25, keyframes: int = 250) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.options = {"crf": "12", "threads": "1", "g": str(keyframes)}
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def numbered(frames: int, start: int = 0, size: int = 128, seed: int = 0) -> np.ndarray:
    """Moving pictures that carry their number, 0 to 255, in eight blocks in the top row."""
    pictures = moving(frames, 1.0, size, seed)
    block = size // 8
    for number, picture in enumerate(pictures, start):
        for bit in range(8):
            picture[:block, bit * block : (bit + 1) * block] = 235 if number >> bit & 1 else 20
    return pictures


def number(picture: np.ndarray) -> int:
    """The number that a picture carries."""
    block = picture.shape[1] // 8
    inner = slice(block // 4, 3 * block // 4)
    blocks = picture[:block].reshape(block, 8, block, 3).transpose(1, 0, 2, 3)[:, inner, inner]
    return sum(int(value.mean() > 128) << bit for bit, value in enumerate(blocks))


def fpt_data(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fpt_ros.data", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.glob("*"))}


SMALL = ("--size", 64, "--frames", 30, "--max-clips", 2)
