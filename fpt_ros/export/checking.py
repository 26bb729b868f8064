# SPDX-License-Identifier: Apache-2.0
"""Whether exported stages give the library's numbers in another runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime
import torch

from fpt_ros.model.export import STAGES

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from fpt_ros.model import FlowPokeTransformer, MotionMixture

TOLERANCE = 1e-5
"""Largest difference of any number of a mixture, in the model's units."""
SIZES = ((1, 1, 1), (1, 0, 7), (5, 3, 64))
"""Rows, pokes and queries of the requests that are compared."""


class Stages:
    """The ONNX files of a folder in ONNX Runtime; arrays go in and out by the names of
    `model.json`."""

    def __init__(self, folder: Path) -> None:
        self._sessions = {
            name: onnxruntime.InferenceSession(folder / f"{name}.onnx")
            for name in STAGES
            if (folder / f"{name}.onnx").is_file()
        }

    def run(self, name: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One stage; what it does not take of `given` is left out."""
        session = self._sessions[name]
        inputs = {entry.name: given[entry.name] for entry in session.get_inputs()}
        outputs = [entry.name for entry in session.get_outputs()]
        return dict(zip(outputs, session.run(None, inputs), strict=True))

    def mixtures(self, given: dict[str, np.ndarray]) -> list[dict[str, np.ndarray]]:
        """By each way that there is: `pokes` and `query`, and `predict`."""
        ways = []
        if {"pokes", "query"} <= self._sessions.keys():
            ways.append(self.run("query", given | self.run("pokes", given)))
        if "predict" in self._sessions:
            ways.append(self.run("predict", given))
        return ways


@torch.no_grad()
def largest_difference(model: FlowPokeTransformer, stages: Stages) -> float:
    """Between the library's mixtures and those of exported stages, for requests of several sizes on
    a picture of smooth noise."""
    generator, size = torch.Generator().manual_seed(0), model.config.image_size
    coarse = torch.rand(1, 3, 7, 7, generator=generator) * 2 - 1
    picture = torch.nn.functional.interpolate(coarse, (size, size), mode="bilinear")
    ours = stages.run("image", {"images": picture.numpy()})
    wanted = model.embed_image(picture)
    largest = 0.0
    for rows, pokes, queries in SIZES:
        asked = _request(rows, pokes, queries, generator)
        pos, flow = (asked[name][:, :pokes] for name in ("poke_pos", "poke_flow"))
        mixture = model.predict_parallel(
            pos, flow, asked["query_pos"], asked["camera_static"], wanted
        )
        for found in stages.mixtures(ours | {name: value.numpy() for name, value in asked.items()}):
            largest = max(largest, _apart(found, mixture))
    return largest


def _request(rows: int, pokes: int, queries: int, generator: torch.Generator) -> dict[str, Tensor]:
    """Random, in the model's units; with a padding poke."""
    return {
        "poke_pos": torch.rand(rows, pokes + 1, 2, generator=generator),
        "poke_flow": torch.randn(rows, pokes + 1, 2, generator=generator) * 0.05,
        "query_pos": torch.rand(rows, queries, 2, generator=generator),
        "lengths": torch.full((rows, 1), pokes),
        "camera_static": torch.arange(rows) % 2 == 0,
    }


def _apart(found: dict[str, np.ndarray], wanted: MotionMixture) -> float:
    return max(
        float(np.abs(array - vars(wanted)[name].numpy()).max()) for name, array in found.items()
    )
