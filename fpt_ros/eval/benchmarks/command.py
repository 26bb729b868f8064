# SPDX-License-Identifier: Apache-2.0
"""Evaluate a checkpoint on a public benchmark: its table, ours beside what others published."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fpt_ros.eval.benchmarks import drag_a_move, owm, spelkebench, tapvid, tracks
from fpt_ros.eval.benchmarks.published import OWM, OWM_SOURCE, SPELKEBENCH, SPELKEBENCH_SOURCE
from fpt_ros.eval.figures import mean_iou
from fpt_ros.eval.predictions import predict
from fpt_ros.eval.tables import markdown, number, percent
from fpt_ros.eval.threshold import found_moving
from fpt_ros.inference.predictor import Predictor

if TYPE_CHECKING:
    from fpt_ros.model import FlowPokeTransformer


def evaluate_spelkebench(
    model: FlowPokeTransformer, path: Path, count: int, seed: int
) -> tuple[dict, str]:
    found = spelkebench.figures(Predictor(model), path, count)
    rows = [[name, number(ar, 4), number(iou, 4)] for name, (ar, iou) in SPELKEBENCH.items()]
    rows.append([f"ours ({found['pictures']} pictures)", number(found["AR"], 4),
                 number(found["mIoU"], 4)])  # fmt: skip
    table = markdown(["method", "AR", "mIoU"], rows)
    return found, f"{table}\n\nOthers: {SPELKEBENCH_SOURCE}."


def evaluate_tapvid(
    model: FlowPokeTransformer, path: Path, count: int, seed: int
) -> tuple[dict, str]:
    cases = tapvid.read(path, count, seed)
    found = tracks.track_figures(model, cases)
    return {"cases": len(cases), **found}, (
        f"{len(cases)} cases, one poke each\n\n{tracks_table(found)}\n\nNo published figure "
        "answers this: trackers are shown the whole video, and asked where points are in it."
    )


def evaluate_owm(model: FlowPokeTransformer, path: Path, count: int, seed: int) -> tuple[dict, str]:
    cases = owm.read(path, count, seed)
    found = tracks.track_figures(model, cases)
    others = markdown(["method", "minADE, best of 5"], [[n, number(v, 3)] for n, v in OWM.items()])
    return {"cases": len(cases), **found}, (
        f"{len(cases)} cases, one poke each\n\n{tracks_table(found)}\n\nOthers are given each "
        f"point's first step and asked for its whole path:\n\n{others}\n\nSource: {OWM_SOURCE}."
    )


def evaluate_drag_a_move(
    model: FlowPokeTransformer, path: Path, count: int, seed: int
) -> tuple[dict, str]:
    cases = drag_a_move.read(path, count, seed)
    found: dict = tracks.track_figures(model, cases)
    part = found_moving(predict(model, cases)[1], model.config.motion_threshold)
    found["ours"]["iou"] = mean_iou(cases, part)
    return {"cases": len(cases), **found}, (
        f"{len(cases)} cases, one poke each\n\n{tracks_table(found)}\n\n"
        f"Moving part, mIoU: {number(found['ours']['iou'], 3)}"
    )


def tracks_table(found: dict[str, dict[str, float]]) -> str:
    """Ours and the baselines' errors on points that were not poked, in percent of the side."""
    rows = [
        [
            name, percent(one["epe"]), percent(one["moving"]),
            percent(one.get("epe_best_of_5")), percent(one["within"], 1),
        ]
        for name, one in found.items()
    ]  # fmt: skip
    return markdown(
        ["", "EPE", "of what moves", "of the best of 5 samples", "within 1 to 16 of 256 pixels"],
        rows,
    )


BENCHMARKS: dict[str, Callable[..., tuple[dict, str]]] = {
    "spelkebench": evaluate_spelkebench,
    "tapvid": evaluate_tapvid,
    "owm": evaluate_owm,
    "drag-a-move": evaluate_drag_a_move,
}
"""Each returns its figures and its table."""


def run_benchmark(
    name: str, model: FlowPokeTransformer, path: Path, count: int, seed: int, out: Path
) -> str:
    """Write `NAME.json` and `NAME.md` to the folder `out`, and return the table.

    Raises:
        ValueError: the data are not of the benchmark's layout; the message says where.
        OSError: a file cannot be read.
    """
    figures, table = BENCHMARKS[name](model, path, count, seed)
    out.mkdir(parents=True, exist_ok=True)
    record = {"checkpoint": model.provenance and vars(model.provenance), **figures}
    (out / f"{name}.json").write_text(json.dumps(record, indent=1, default=str) + "\n")
    (out / f"{name}.md").write_text(table + "\n")
    return table
