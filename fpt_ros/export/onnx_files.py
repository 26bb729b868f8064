# SPDX-License-Identifier: Apache-2.0
"""A folder of ONNX files with their description, compared with the library."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tqdm import tqdm

from fpt_ros.export.checking import TOLERANCE, Stages, largest_difference
from fpt_ros.export.description import write_description
from fpt_ros.model.export import save_onnx

if TYPE_CHECKING:
    from pathlib import Path

    from torch.export import ExportedProgram

    from fpt_ros.model import FlowPokeTransformer


def write_onnx(
    model: FlowPokeTransformer, programs: dict[str, ExportedProgram], folder: Path
) -> float:
    """Write the stages of `export_stages` and `model.json`.

    Args:
        folder: made if it is not there.

    Returns:
        The largest difference from the library, in the model's units.

    Raises:
        RuntimeError: it is more than `TOLERANCE`.
    """
    files = []
    for name in tqdm(programs, "Writing ONNX", unit="stage"):
        files += save_onnx({name: programs[name]}, folder)
    write_description(model, files, folder)
    difference = largest_difference(model, Stages(folder))
    if difference > TOLERANCE:
        raise RuntimeError(
            f"{folder}: in ONNX Runtime its numbers are off by {difference:.1e}, more than "
            f"{TOLERANCE:.0e}: this version of PyTorch's exporter does not fit"
        )
    return difference
