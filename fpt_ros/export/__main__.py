# SPDX-License-Identifier: Apache-2.0
"""The model as files for other runtimes: ONNX for TensorRT, OpenVINO and ONNX Runtime, or
PyTorch's own exported programs. docs/export.md says how they are used."""

from __future__ import annotations

import argparse
import logging
import sys
import warnings
from pathlib import Path

import torch
from torch.export import ExportedProgram
from tqdm import tqdm

from fpt_ros.command_line import CommandParser
from fpt_ros.model import load_checkpoint
from fpt_ros.model.export import STAGES, export_stages


def main(arguments: list[str] | None = None) -> None:
    """Export as the command line says."""
    options = parser().parse_args(arguments)
    if not (options.onnx or options.torch_export):
        parser().error("give --onnx OUT, --torch-export OUT or both")
    warnings.simplefilter("ignore")  # PyTorch's exporter has many, about itself
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        run(options)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"fpt-export: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"fpt-export: {error}; pip install 'fpt_ros[onnx]' brings what --onnx needs")


def parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="fpt-export", description=__doc__)
    parser.add_argument("--checkpoint", default="embedded", help="embedded, hub:..., or a file")
    parser.add_argument("--allow-download", action="store_true", help="of a checkpoint hub:...")
    parser.add_argument(
        "--onnx", type=Path, metavar="OUT",
        help="folder for one .onnx file a stage and model.json, which describes them; the numbers "
        "are compared with the library's in ONNX Runtime",
    )  # fmt: skip
    parser.add_argument(
        "--torch-export", type=Path, metavar="OUT",
        help="folder for one .pt2 file a stage, which torch.export.load reads",
    )  # fmt: skip
    return parser


def run(options: argparse.Namespace) -> None:
    """Export, compare with the library, and say what was written."""
    model = load_checkpoint(options.checkpoint, "cpu", "float32", options.allow_download)
    programs: dict[str, ExportedProgram] = {}
    for name in tqdm(STAGES, "Exporting", unit="stage"):
        programs |= export_stages(model, [name])
    if options.torch_export:
        options.torch_export.mkdir(parents=True, exist_ok=True)
        for name, program in programs.items():
            torch.export.save(program, options.torch_export / f"{name}.pt2")
        print(f"{options.torch_export}: {', '.join(f'{name}.pt2' for name in STAGES)}")
    if options.onnx:
        from fpt_ros.export.onnx_files import write_onnx

        difference = write_onnx(model, programs, options.onnx)
        print(f"{options.onnx}: {', '.join(f'{name}.onnx' for name in STAGES)}, model.json")
        print(f"largest difference from the library in ONNX Runtime: {difference:.1e}")


if __name__ == "__main__":
    main()
