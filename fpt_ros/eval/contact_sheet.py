# SPDX-License-Identifier: Apache-2.0
"""Pictures of how a model does: poke, truth, prediction and moving part side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.data.points import MOVING
from fpt_ros.drawing import draw_flow, draw_motion
from fpt_ros.inference.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import Float, UInt8

    from fpt_ros.eval.cases import Case, Cases
    from fpt_ros.model import FlowPokeTransformer

SIDE = 240
GRID = 32
ROWS = 4
"""Cases of each set."""
APART = 0.07
"""Least distance of two points that are drawn, in image sides."""
STILL, MOVES = (235, 235, 235), (255, 60, 200)
GAP = 6


def write_contact_sheet(model: FlowPokeTransformer, sets: dict[str, Cases], path: Path) -> None:
    """A block of cases for each set, blocks in two columns."""
    predictor = Predictor(model)
    blocks = []
    for name, cases in sets.items():
        chosen = np.linspace(0, len(cases) - 1, min(ROWS, len(cases))).round().astype(int)
        strips = [case_strip(predictor, cases.each[i]) for i in chosen]
        strips += [np.full_like(strips[0], 255)] * (ROWS - len(strips))
        blocks.append(np.vstack([_titled(name, strips[0].shape[1]), *strips]))
    if len(blocks) % 2 and len(blocks) > 1:
        blocks.append(np.full_like(blocks[0], 255))
    rows = [np.hstack(_spaced(blocks[i : i + 2])) for i in range(0, len(blocks), 2)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def case_strip(predictor: Predictor, case: Case) -> UInt8[np.ndarray, "h w 3"]:
    """Poke; where points truly go; where they are said to go; the flow said everywhere; the moving
    part."""
    image = cv2.resize(case.image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    poke, points = case.pokes[:1] * SIDE - [0.5, 0.5, 0, 0], case.points * SIDE - 0.5
    flow, shown = case.flow * SIDE, spread_out(case)
    context, moving = predictor.embed(image), not case.camera_static
    said = predictor.predict(context, poke, np.clip(points[shown], 0, SIDE - 1), moving)
    mixture = said.weights.numpy(), said.locs.numpy(), said.covariances.numpy()
    weights, none = np.ones((len(shown), 1)), np.zeros((len(shown), 1, 2, 2))
    centres = (np.stack(np.meshgrid(*[np.arange(GRID)] * 2), -1) + 0.5) / GRID * SIDE - 0.5
    everywhere = predictor.predict(context, poke, centres.reshape(-1, 2), moving).mean.numpy()
    part = predictor.segment(context, poke, moving).moves
    panels = [
        draw_motion(image, poke, points[:0], weights[:0], flow[:0, None], none[:0]),
        draw_motion(image, poke, points[shown], weights, flow[shown, None], none),
        draw_motion(image, poke, points[shown], *mixture),
        draw_flow(image, everywhere.reshape(GRID, GRID, 2), poke),
        moving_panel(image, part, points, case.moving),
    ]
    return np.pad(np.hstack(_spaced(panels)), ((0, GAP), (0, 0), (0, 0)), constant_values=255)


def spread_out(case: Case) -> list[int]:
    """Points to draw: some that move, apart from each other, and a few of the others."""
    length = np.linalg.norm(case.flow, axis=-1)
    chosen: list[int] = []
    for index in np.argsort(length < MOVING, kind="stable"):
        least = APART if length[index] > MOVING else 2 * APART
        apart = np.linalg.norm(case.points[chosen] - case.points[index], axis=-1)
        if (apart > least).all():
            chosen.append(int(index))
    return chosen


def moving_panel(
    image: UInt8[np.ndarray, "s s 3"],
    part: np.ndarray,
    points: Float[np.ndarray, "n 2"],
    moving: np.ndarray,
) -> UInt8[np.ndarray, "s s 3"]:
    """The predicted moving part bright, the rest dark, and a dot at each point: pink if it truly
    moves, else white."""
    panel = np.where(part[..., None], image, image // 3)
    panel = np.ascontiguousarray(panel, np.uint8)
    for point, moves in sorted(
        zip(points.tolist(), moving.tolist(), strict=True), key=lambda p: p[1]
    ):
        cv2.circle(
            panel,
            np.round(point).astype(int).tolist(),
            2 if moves else 1,
            MOVES if moves else STILL,
            -1,
        )
    return panel


def _titled(name: str, width: int) -> UInt8[np.ndarray, "t w 3"]:
    bar = np.full((26, width, 3), 255, np.uint8)
    cv2.putText(bar, name, (4, 19), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (0, 0, 0), 1, cv2.LINE_AA)
    return bar


def _spaced(panels: list[UInt8[np.ndarray, "h w 3"]]) -> list[UInt8[np.ndarray, "h w 3"]]:
    """With a white gap on the right of each."""
    return [np.pad(panel, ((0, 0), (0, GAP), (0, 0)), constant_values=255) for panel in panels]
