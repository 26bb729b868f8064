# SPDX-License-Identifier: Apache-2.0
"""Where clips come from, and what each source asks of them: simulation and real recordings differ.

A YAML file names the sources; folders are relative to it. Only `data` is needed:

    simulated:
      data: sim/train
      skips: [1, 2, 3, -1, -2, -3]
      weight: 2
    kitchen robot:
      data: [tracked/monday, tracked/tuesday]
      horizon: 1.0
      weight: 1
      camera: static
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from fpt_ros.data.clips import SampleError, parse_meta
from fpt_ros.data.moments import CAMERAS

if TYPE_CHECKING:
    from fpt_ros.training.recipes import Sampling

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Source:
    """Some shards, and how motions are drawn from their clips."""

    data: tuple[Path, ...]
    """Shards, or folders of shards."""
    skips: tuple[int, ...] = ()
    """Frames from a picture to its target, as `Sampling.skips`; empty: the recipe's."""
    horizon: float = 0.0
    """Seconds from a picture to its target, in place of `skips`: as many frames as each clip's rate
    makes of it. 0: `skips` counts."""
    weight: float = 0.0
    """Share of the pictures, beside the other sources' weights; 0: as many as the source has clips
    (in no source, or in all)."""
    camera: str = "tracks"
    """How it is known whether the camera stands still, see `CAMERAS`."""

    def __post_init__(self) -> None:
        if not self.data:
            raise ValueError("data is empty: must be shards, or folders of shards")
        if 0 in self.skips or not all(type(skip) is int for skip in self.skips):
            raise ValueError(f"skips is {list(self.skips)}: must be integers other than 0")
        for name in ("horizon", "weight"):
            value: Any = getattr(self, name)
            if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
                raise ValueError(f"{name} is {value!r}: must be a number from 0")
        if self.horizon and self.skips:
            raise ValueError("skips and horizon are both given: one says what the other does")
        if self.camera not in CAMERAS:
            raise ValueError(f"camera is {self.camera!r}: must be one of {', '.join(CAMERAS)}")

    def sampling(self, sample: dict[str, Any], sampling: Sampling) -> Sampling:
        """The recipe's sampling, with the skips that this source's clip is asked about.

        Raises:
            SampleError: the horizon is in seconds, and the clip says no rate.
        """
        if not self.horizon:
            return replace(sampling, skips=self.skips) if self.skips else sampling
        return replace(sampling, skips=(max(1, round(self.horizon * rate_of(sample))),))


def rate_of(sample: dict[str, Any]) -> float:
    """Frames a second of a clip.

    Raises:
        SampleError: its `meta.json` does not say.
    """
    rate: Any = parse_meta(sample).get("rate")
    if type(rate) not in (int, float) or not math.isfinite(rate) or rate <= 0:
        raise SampleError(
            f"sample {sample['__key__']!r}: meta.json has rate {rate!r}: must be frames a second, "
            "for a horizon in seconds; give the source skips instead"
        )
    return rate


def read_sources(inputs: list[Path]) -> list[Source]:
    """What `--data` names: one file of sources, or shards and folders, which are one source.

    Raises:
        FileNotFoundError: the file of sources is not there.
        ValueError: it is none; the message names the source and what is allowed.
    """
    described = [path for path in inputs if path.suffix in SUFFIXES]
    if not described:
        return [Source(tuple(inputs))]
    if len(inputs) > 1:
        raise ValueError(f"{described[0]} is given beside others: a file of sources stands alone")
    path = described[0]
    try:
        found = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} cannot be read as YAML: {reason}") from error
    if not isinstance(found, dict) or not found:
        raise ValueError(f"{path}: must be sources by name, each with data: FOLDER")
    sources = [_read_source(path, str(name), values) for name, values in found.items()]
    if len({bool(source.weight) for source in sources}) > 1:
        raise ValueError(f"{path}: weight must be given to every source, or to none")
    return sources


def _read_source(path: Path, name: str, values: Any) -> Source:
    allowed = [field.name for field in fields(Source)]
    if not isinstance(values, dict) or not values.get("data"):
        raise ValueError(f"{path}: {name}: must have data, and may have {', '.join(allowed[1:])}")
    unknown = sorted(map(str, values.keys() - set(allowed)))
    if unknown:
        raise ValueError(
            f"{path}: {name}: {', '.join(unknown)}: unknown, must be of {', '.join(allowed)}"
        )
    data = tuple(path.parent / str(part) for part in _listed(values["data"]))
    skips = tuple(_listed(values.get("skips", ())))
    try:
        return Source(**values | {"data": data, "skips": skips})
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {name}: {error}") from error


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [value]
