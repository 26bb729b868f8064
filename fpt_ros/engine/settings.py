# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one frozen dataclass holds names, defaults, ranges and descriptions."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from fpt_ros.encodings import FULL_RANGE, MAX_PIXELS

if TYPE_CHECKING:
    from collections.abc import Sequence

# When a new value takes effect.
RESTART = "restart"
RECONFIGURE = "reconfigure"
LIVE = "live"


def _parameter(
    default: Any,
    when: str,
    description: str,
    *,
    choices: Sequence[str] = (),
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    metadata = {
        "when": when,
        "description": description,
        "choices": tuple(choices),
        "minimum": minimum,
        "maximum": maximum,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """A consistent set of parameter values, replaced as a whole when one of them is set."""

    checkpoint: str = _parameter(
        "embedded",
        RECONFIGURE,
        "Weights of the model: embedded (shipped with the package), "
        "hub:OWNER/NAME[@REVISION]/FILE, or the path of a .safetensors, .pt or .pth file",
    )
    allow_download: bool = _parameter(
        False,
        RECONFIGURE,
        "Whether a hub checkpoint may be downloaded; without it only the local hub cache is read",
    )
    calibration_file: str = _parameter(
        "",
        RECONFIGURE,
        "File of fpt-bag score that makes the stated uncertainty true on one's own recordings; "
        "empty: as the model states it",
    )
    device: str = _parameter(
        "auto",
        RECONFIGURE,
        "Device that computes: auto (CUDA where there is one, else the CPU), cpu, cuda or cuda:N",
    )
    dtype: str = _parameter(
        "auto",
        RECONFIGURE,
        "Number format of the network; auto suits the device. The mixture is always float64",
        choices=("auto", "float32", "bfloat16", "float16"),
    )
    compile: bool = _parameter(
        False,
        RECONFIGURE,
        "Whether to compile the image encoder, on CUDA the predictions too: configure takes "
        "minutes longer; pays on GPUs and on some CPUs",
    )
    image_transport: str = _parameter(
        "raw",
        RECONFIGURE,
        "How images arrive: raw subscribes to image, compressed to image/compressed (jpeg, png)",
        choices=("raw", "compressed"),
    )
    depth_image_transport: str = _parameter(
        "raw",
        RECONFIGURE,
        "How depth arrives: raw on depth, compressedDepth on depth/compressedDepth (png)",
        choices=("raw", "compressedDepth"),
    )
    max_image_pixels: int = _parameter(
        MAX_PIXELS,
        LIVE,
        "Most pixels of an image; a larger one is refused before it is decoded",
        minimum=1,
        maximum=2**30,
    )
    sample_range: tuple[int, int] = _parameter(
        FULL_RANGE,
        LIVE,
        "[low, high]: samples of 16-bit images that become black and white, for thermal cameras. "
        "Other than the full range it says that 16UC1 is a picture too, not depth",
        minimum=0,
        maximum=65535,
    )
    fit: str = _parameter(
        "crop",
        RECONFIGURE,
        "How an image becomes the model's square: crop to the middle (as trained), pad or stretch",
        choices=("crop", "pad", "stretch"),
    )
    grid: tuple[int, int] = _parameter(
        (32, 24),
        LIVE,
        "[columns, rows] of the grid of query points that is used when none are given; "
        "columns times rows at most max_queries",
        minimum=1,
        maximum=1024,
    )
    trigger: str = _parameter(
        "pokes",
        LIVE,
        "What starts a prediction on motion: pokes (each message on pokes), "
        "image (each new image, with the current pokes) or both",
        choices=("pokes", "image", "both"),
    )
    camera_moving: bool = _parameter(
        False, LIVE, "Whether the camera may move too, for predictions on motion"
    )
    horizon: float = _parameter(
        0.0,
        LIVE,
        "Time over which the points move, as stated in the results [s]; 0: the checkpoint's own",
        minimum=0.0,
        maximum=60.0,
    )
    image_cache: int = _parameter(
        8,
        LIVE,
        "Newest images that are kept by their stamp, with their features once asked about: 6 MB "
        "each with the embedded weights, with the base model 41 MB in bfloat16, 79 in float32. As "
        "many of those asked about in the last 10 s, and as many held by clients, are kept beside "
        "them",
        minimum=1,
        maximum=1000,
    )
    max_image_age: float = _parameter(
        0.0,
        LIVE,
        "Age above which an image is refused, by its stamp and the node's clock [s]; 0: no limit",
        minimum=0.0,
        maximum=3600.0,
    )
    depth_tolerance: float = _parameter(
        0.02,
        LIVE,
        "Most that the stamps of an image and of its depth may differ [s]; of several the nearest "
        "counts; 0: they must be equal",
        minimum=0.0,
        maximum=1.0,
    )
    max_queries: int = _parameter(
        16384,
        LIVE,
        "Most query points in one request or on query_points",
        minimum=1,
        maximum=1_000_000,
    )
    max_candidates: int = _parameter(
        256,
        LIVE,
        "Most candidates in one request to evaluate pokes",
        minimum=1,
        maximum=100_000,
    )
    autostart: bool = _parameter(
        False, RESTART, "Whether the node configures and activates itself when it starts"
    )


FIELDS = {field.name: field for field in dataclasses.fields(Settings)}


def problem(settings: Settings) -> str:
    """What the ranges of the descriptors cannot express; empty if all is well."""
    for name, field in FIELDS.items():
        choices, value = field.metadata["choices"], getattr(settings, name)
        if choices and value not in choices:
            return f"{name} is '{value}': must be one of {', '.join(choices)}"
    if not settings.checkpoint:
        return "checkpoint is empty: must be embedded, hub:OWNER/NAME[@REVISION]/FILE or a path"
    return _range_problem(settings) or _grid_problem(settings)


def _range_problem(settings: Settings) -> str:
    limits = FIELDS["sample_range"].metadata
    ends = (limits["minimum"], *settings.sample_range, limits["maximum"])
    if len(ends) != 4 or not ends[0] <= ends[1] < ends[2] <= ends[3]:
        return (
            f"sample_range is {list(settings.sample_range)}: must be [low, high], each {ends[0]} "
            f"to {ends[-1]}, low below high"
        )
    return ""


def _grid_problem(settings: Settings) -> str:
    limits = FIELDS["grid"].metadata
    low, high = limits["minimum"], limits["maximum"]
    if len(settings.grid) != 2 or not all(low <= side <= high for side in settings.grid):
        return f"grid is {list(settings.grid)}: must be [columns, rows], each {low} to {high}"
    columns, rows = settings.grid
    if columns * rows > settings.max_queries:
        return (
            f"grid is {[columns, rows]}: its {columns * rows} points must be at most "
            f"max_queries, which is {settings.max_queries}"
        )
    return ""
