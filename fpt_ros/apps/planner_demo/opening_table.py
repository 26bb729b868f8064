# SPDX-License-Identifier: Apache-2.0
"""What came of all drawers and doors: a table, and a sheet of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from fpt_ros.apps.planner_demo.opening import OBSERVED, ONCE, STRAIGHT, TOLERANCE, WAYS
from fpt_ros.eval.shares import share

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import UInt8

    from fpt_ros.apps.planner_demo.opening import OpeningTrial

HEADER = "| opened by | all | drawers | doors | square | askew | the finger gave way |"
SIDE, CAPTION, BACK = 200, 22, 24
SHEET = 6
"""Trials in the sheet."""
SHOWN = (OBSERVED, ONCE, STRAIGHT)
LOOSE = 0.2
ARROW = 0.05
"""Metres, of the direction that the task gives."""
GOOD, BAD, PLAIN = (90, 220, 90), (255, 90, 80), (235, 235, 235)


def table(trials: list[OpeningTrial]) -> str:
    """A Markdown table, a row a way: how many were opened, with 95 % intervals."""
    rows = [row(way, trials) for way in WAYS]
    return "\n".join([HEADER, "| " + " | ".join(["---"] * 7) + " |", *rows])


def row(way: str, trials: list[OpeningTrial]) -> str:
    groups: list[Callable[[OpeningTrial], bool]] = [
        lambda _: True,
        lambda trial: not trial.task.hinge,
        lambda trial: trial.task.hinge,
        lambda trial: not trial.task.tilted,
        lambda trial: trial.task.tilted,
    ]
    cells = []
    for group in groups:
        some = [trial.endings[way].success for trial in trials if group(trial)]
        cells.append(share(some) if some else "-")
    gave_way = sum(not trial.endings[way].held for trial in trials)
    return f"| {way} | {' | '.join(cells)} | {gave_way} |"


def summary(trials: list[OpeningTrial]) -> str:
    """What the words mean, how often a look gave a joint, and a looser limit."""
    endings = [trial.endings[OBSERVED] for trial in trials]
    looks, joints = sum(e.looks for e in endings), sum(e.joints for e in endings)
    nearly = [f"{way} {sum(t.endings[way].within(LOOSE) for t in trials)}" for way in WAYS]
    return (
        f"Opened: as far as wanted within {100 * TOLERANCE:.0f}%, and still held.\n"
        f"{joints} of {looks} looks after a push of {OBSERVED!r} gave a joint.\n"
        f"Of {len(trials)}, within {100 * LOOSE:.0f}%: {'; '.join(nearly)}."
    )


def sheet(trials: list[OpeningTrial]) -> UInt8[np.ndarray, "h w 3"]:
    """Some trials, evenly chosen, in two columns: the task, and how some of the ways ended."""
    chosen = np.linspace(0, len(trials) - 1, min(SHEET, len(trials))).round().astype(int)
    empty = np.full((0, SIDE, 3), BACK, np.uint8)
    titles = [captioned(empty, title, PLAIN) for title in ("the task", *SHOWN)]
    strips = [strip(trials[i]) for i in chosen]
    half = (len(strips) + 1) // 2
    strips += [np.full_like(strips[0], BACK)] * (2 * half - len(strips))
    columns = (np.vstack([np.hstack(titles), *some]) for some in (strips[:half], strips[half:]))
    return np.hstack(list(columns))


def strip(trial: OpeningTrial) -> UInt8[np.ndarray, "h w 3"]:
    task = trial.task
    unit, name = (np.degrees(1), "deg") if task.hinge else (100.0, "cm")
    kind = "door" if task.hinge else "drawer"
    tiles = [captioned(with_arrow(trial), f"{kind}: open {unit * task.goal:.0f} {name}", PLAIN)]
    for way in SHOWN:
        ending = trial.endings[way]
        text = f"{unit * ending.travel:.0f} {name}{'' if ending.held else ', the finger gave way'}"
        tiles.append(captioned(ending.picture, text, GOOD if ending.success else BAD))
    return np.hstack(tiles)


def with_arrow(trial: OpeningTrial) -> UInt8[np.ndarray, "s s 3"]:
    """The scene before, with the handle point and the direction that the task gives."""
    task, picture = trial.task, np.ascontiguousarray(trial.before)
    ends, _ = task.camera.project(np.stack([task.handle, task.handle + ARROW * task.direction]))
    start, end = np.round(ends).astype(int).tolist()
    for shade, width in (((0, 0, 0), 8), ((255, 220, 0), 4)):
        cv2.arrowedLine(picture, start, end, shade, width, cv2.LINE_AA, 0, 0.3)
    return np.asarray(picture, np.uint8)


def captioned(
    picture: UInt8[np.ndarray, "s s 3"], text: str, colour: tuple[int, int, int]
) -> UInt8[np.ndarray, "h w 3"]:
    """Made small, with a line of text over it."""
    bar = np.full((CAPTION, SIDE, 3), BACK, np.uint8)
    cv2.putText(bar, text, (3, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.33, colour, 1, cv2.LINE_AA)
    if not len(picture):
        return bar
    return np.vstack([bar, cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)])
