"""A picture of how a model does: pokes, true motion and predicted motion side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from fpt_ros.training.scenes import to_model

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float, UInt8

    from fpt_ros.model import FlowPokeTransformer
    from fpt_ros.training.metrics import Cases

SIDE = 240
GRID = 32
PER_SET = 5
SHORTEST_ARROW = 0.01


def arrows(
    image: UInt8[np.ndarray, "s s 3"],
    points: Float[np.ndarray, "n 2"],
    flow: Float[np.ndarray, "n 2"],
    colour: tuple[int, int, int],
    thickness: int = 1,
) -> UInt8[np.ndarray, "t t 3"]:
    """The picture at ``SIDE`` pixels with an arrow for each point that clearly moves."""
    canvas = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    for start, step in zip(points, flow, strict=True):
        if np.linalg.norm(step) > SHORTEST_ARROW:
            tail, tip = np.round(np.stack([start, start + step]) * SIDE).astype(int).tolist()
            cv2.arrowedLine(canvas, tail, tip, colour, thickness, cv2.LINE_AA, tipLength=0.25)
    return np.asarray(canvas, np.uint8)


def heat(
    image: UInt8[np.ndarray, "s s 3"], lengths: Float[np.ndarray, "g g"], most: float
) -> UInt8[np.ndarray, "t t 3"]:
    """The picture under the predicted length of motion, black to yellow."""
    coarse = np.clip(lengths / most * 255, 0, 255).astype(np.uint8)
    level = cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    colours = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    grey = cv2.resize(image, (SIDE, SIDE)).mean(-1, keepdims=True)
    return (0.65 * colours + 0.35 * grey).astype(np.uint8)


@torch.no_grad()
def case_strip(model: FlowPokeTransformer, cases: Cases, index: int) -> UInt8[np.ndarray, "t w 3"]:
    """Poke, truth, prediction at the same points, and predicted length of motion everywhere."""
    image, points, flow = cases.images[index], cases.points[index], cases.flow[index]
    poke = cases.pokes[index, :1]
    centres = (np.stack(np.meshgrid(*[np.arange(GRID)] * 2), -1) + 0.5) / GRID
    queries = np.concatenate([points, centres.reshape(-1, 2).astype(np.float32)])
    embedded = model.embed_image(torch.from_numpy(to_model([image])))
    pos, motion, asked = (torch.from_numpy(a)[None] for a in (points[poke], flow[poke], queries))
    mean = model.predict_parallel(pos, motion, asked, True, embedded).mean[0].numpy()
    dense = np.linalg.norm(mean[len(points) :], axis=-1).reshape(GRID, GRID)
    return np.hstack(
        [
            arrows(image, points[poke], flow[poke], (255, 40, 40), 2),
            arrows(image, points, flow, (60, 230, 60)),
            arrows(image, points, mean[: len(points)], (255, 200, 0)),
            heat(image, dense, float(np.linalg.norm(flow[poke]))),
        ]
    )


def write_contact_sheet(model: FlowPokeTransformer, sets: dict[str, Cases], path: Path) -> None:
    """Strips of poke (red), truth (green), prediction (orange) and its length, a block a set.

    The blocks stand in two columns, in the order of ``sets``.
    """
    blocks = []
    for cases in sets.values():
        chosen = np.linspace(0, len(cases.images) - 1, PER_SET).astype(int)
        blocks.append(np.vstack([case_strip(model, cases, int(i)) for i in chosen]))
    rows = [np.hstack(blocks[i : i + 2]) for i in range(0, len(blocks), 2)]
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR))
