# SPDX-License-Identifier: Apache-2.0
"""A short recording of a robot scene from a static camera, with pokes whose outcome is known.

`python -m fpt_ros.simulation.recording out/` writes its frames and a sheet of the pokes.
"""

from __future__ import annotations

import argparse
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import mujoco
import numpy as np
from metaworld.sawyer_xyz_env import SawyerXYZEnv
from tqdm import tqdm

from fpt_ros.simulation.camera import Camera
from fpt_ros.simulation.flow import Poses, moved_points
from fpt_ros.simulation.metaworld_scenes import expert, fresh_env
from fpt_ros.simulation.rendering import Renderer

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, UInt8

TASK = "drawer-close-v3"
"""One of the held-out tasks: no network of ours was trained on it."""
SUPERSAMPLING = 2
SLOWNESS = 4
"""The expert moves this many times slower than in training."""
BASE, DRAWER = 0, 9
"""Addresses in qpos of the arm's first joint, and of the drawer's, behind the arm's nine."""
REACH_FRAMES = 3
"""Frames that the arm-only poke looks ahead."""
NAMED_LINKS = {
    "drawer": "drawer_link",
    "cabinet": "drawercase_link",
    "gripper": "right_hand",
    "upper arm": "right_l2",
    "table": "tablelink",
}
"""Things whose motion a planner may ask about, and their bodies in the scene."""
FAR = 80
"""The far point of what is poked: this percentile of its pixels' distances from the poke."""


@dataclass(frozen=True)
class Poke:
    """Something pushed in one of the frames, and what truly happens then.

    position, displacement: (x, y) in pixels, the centre of the top-left pixel is (0, 0).
    flow: exact displacement of every pixel's point, in pixels.
    points: pixels (x, y) of things whose motion one may ask about, by name.
    """

    name: str
    frame: int
    position: tuple[int, int]
    displacement: tuple[float, float]
    flow: Float[np.ndarray, "h w 2"]
    points: dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Recording:
    """frames: RGB pictures. rate: frames a second."""

    frames: UInt8[np.ndarray, "t h w 3"]
    rate: float
    pokes: list[Poke]


def side_view(width: int, height: int) -> Camera:
    """Like a camera on a tripod beside the table: drawer, gripper and arm in the picture."""
    return Camera.looking_at(
        np.array([0.05, 0.7, 0.15]),
        azimuth=25,
        elevation=24,
        distance=1.1,
        fovy=45,
        width=width,
        height=height,
    )


def soften(model: mujoco.MjModel) -> None:
    """Light that shows the scene well."""
    model.vis.headlight.ambient[:] = 0.35
    model.vis.headlight.diffuse[:] = 0.25
    model.light_castshadow[:] = [1] + [0] * (model.nlight - 1)


def play(env: SawyerXYZEnv, seconds: float, rate: float) -> list[np.ndarray]:
    """Joint positions at every frame while the scripted expert works."""
    policy, qpos = expert(TASK), []
    env.action_scale /= SLOWNESS
    observation = env._get_obs()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the expert asks for more than the arm can do
        for step in range(round(seconds / env.dt)):
            if step % round(1 / (rate * env.dt)) == 0:
                qpos.append(env.data.qpos.copy())
            observation, *_ = env.step(np.clip(policy.get_action(observation), -1, 1))
    return qpos


def posed(model: mujoco.MjModel, qpos: np.ndarray) -> mujoco.MjData:
    data = mujoco.MjData(model)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    return data


def true_flow(
    renderer: Renderer, camera: Camera, start: mujoco.MjData, end: Poses
) -> tuple[Float[np.ndarray, "h w 2"], Int[np.ndarray, "h w"]]:
    """Every pixel's displacement when the scene goes from `start` to `end`, and its body."""
    depth, bodies = renderer.geometry(start, camera)
    rows, columns = np.indices(depth.shape)
    pixels = np.column_stack([columns.ravel(), rows.ravel()]) + 0.5
    points = camera.back_project(pixels, depth.ravel())
    moved = moved_points(points, bodies.ravel(), Poses.of(start), end)
    flow = (camera.project(moved)[0] - camera.project(points)[0]).reshape(*depth.shape, 2)
    return flow, bodies


def central_pixel(seen: Bool[np.ndarray, "h w"]) -> tuple[int, int]:
    """(x, y) of the marked pixel that is nearest to the middle of all."""
    pixels = np.argwhere(seen)
    row, column = pixels[np.argmin(np.linalg.norm(pixels - pixels.mean(0), axis=1))]
    return int(column), int(row)


def far_pixel(seen: Bool[np.ndarray, "h w"], point: tuple[int, int]) -> tuple[int, int]:
    """(x, y) of a marked pixel far from `point`."""
    pixels = np.argwhere(seen)[:, ::-1]
    distance = np.linalg.norm(pixels - np.array(point), axis=1)
    column, row = pixels[np.argmin(np.abs(distance - np.percentile(distance, FAR)))]
    return int(column), int(row)


def make_poke(
    name: str, frame: int, thing: str, renderer: Renderer, camera: Camera,
    start: mujoco.MjData, end: Poses,
) -> Poke:  # fmt: skip
    """A poke at the middle of a thing's visible part, the scene going from `start` to `end`."""
    flow, bodies = true_flow(renderer, camera, start, end)
    seen = {label: bodies == renderer.model.body(link).id for label, link in NAMED_LINKS.items()}
    position = central_pixel(seen[thing])
    points = {label: central_pixel(mask) for label, mask in seen.items()}
    points[f"{thing}, far point"] = far_pixel(seen[thing], position)
    dx, dy = flow[position[1], position[0]]
    return Poke(name, frame, position, (float(dx), float(dy)), flow, points)


def make_pokes(model: mujoco.MjModel, qpos: list[np.ndarray], camera: Camera) -> list[Poke]:
    """The drawer in and out, the arm as the expert soon moves it, the arm swung round."""
    first, last = 0, len(qpos) - 1
    pushed, reached, swung, pulled = (qpos[f].copy() for f in (first, first, last, last))
    pushed[DRAWER] += 0.06
    reached[:DRAWER] = qpos[REACH_FRAMES][:DRAWER]
    swung[BASE] -= 0.2
    pulled[DRAWER] -= 0.08
    outcomes = [
        ("push the drawer", first, "drawer", pushed),
        ("lift the gripper", first, "gripper", reached),
        ("swing the arm", last, "gripper", swung),
        ("pull the drawer", last, "drawer", pulled),
    ]
    with Renderer(model, camera.width, camera.height) as renderer:
        return [
            make_poke(
                name, frame, thing, renderer, camera,
                posed(model, qpos[frame]), Poses.of(posed(model, end)),
            )
            for name, frame, thing, end in outcomes
        ]  # fmt: skip


def record(
    width: int = 640, height: int = 480, seconds: float = 5.0, rate: float = 10.0, seed: int = 4
) -> Recording:
    """A robot closes a drawer in front of a static camera."""
    env = fresh_env(TASK, seed)
    env.reset()
    soften(env.model)
    qpos = play(env, seconds, rate)
    pokes = make_pokes(env.model, qpos, side_view(width, height))
    large = (SUPERSAMPLING * width, SUPERSAMPLING * height)
    with Renderer(env.model, *large, shadow_map=4096) as renderer:
        camera = side_view(*large)
        pictures = (
            renderer.colour(posed(env.model, pose), camera)
            for pose in tqdm(qpos, "recording", unit="frame")
        )
        frames = [cv2.resize(p, (width, height), interpolation=cv2.INTER_AREA) for p in pictures]
    return Recording(np.stack(frames), rate, pokes)


def with_poke(picture: np.ndarray, poke: Poke) -> np.ndarray:
    """The picture with the poke (red) and the true flow of a grid of points (yellow)."""
    canvas = picture.copy()
    for y in range(6, canvas.shape[0], 14):
        for x in range(6, canvas.shape[1], 14):
            dx, dy = poke.flow[y, x]
            if np.hypot(dx, dy) > 1:
                end = (round(x + dx), round(y + dy))
                cv2.arrowedLine(canvas, (x, y), end, (255, 220, 0), 1, cv2.LINE_AA)
    position, displacement = np.array(poke.position), np.array(poke.displacement)
    start, end = (np.round(p).astype(int).tolist() for p in (position, position + displacement))
    cv2.arrowedLine(canvas, start, end, (255, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(canvas, poke.name, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1)
    return canvas


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="folder for the frames and the pokes' pictures")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    recording = record()
    for index, picture in enumerate(recording.frames):
        cv2.imwrite(str(out / f"frame-{index:03d}.png"), picture[..., ::-1])
    for index, poke in enumerate(recording.pokes):
        picture = with_poke(recording.frames[poke.frame], poke)
        cv2.imwrite(str(out / f"poke-{index}.png"), picture[..., ::-1])
        print(f"{poke.name}: at {poke.position}, moves by {np.round(poke.displacement, 2)}")


if __name__ == "__main__":
    main()
