# SPDX-License-Identifier: Apache-2.0
"""Which pokes hold when: `pokes.yaml`, see docs/bags.md."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

NUMBERS = ("x", "y", "dx", "dy", "start", "end")


@dataclass(frozen=True)
class TimedPoke:
    """A push at a point, pixels as in msg/Poke.msg, for some of the time.

    start, end: seconds after the bag's first image, by the time of recording; end is not part of
    it. topic: the images it is for; None: those of every camera. follow: the point is carried
    along by the tracker from its first image on.
    """

    x: float
    y: float
    dx: float
    dy: float
    start: float = 0.0
    end: float = math.inf
    topic: str | None = None
    follow: bool = False

    def holds(self, topic: str, seconds: float) -> bool:
        return self.topic in (None, topic) and self.start <= seconds < self.end


def read_pokes_file(path: Path) -> list[TimedPoke]:
    """The pokes of a file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not as docs/bags.md says; names the poke, the field and what is allowed.
    """
    from ruamel.yaml import YAML, YAMLError

    try:
        content = YAML(typ="safe").load(path.read_text())
    except (YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: is no YAML: {' '.join(str(error).split())}") from error
    entries = content.get("pokes") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: must have a list 'pokes' with at least one poke")
    return [_poke(entry, f"{path}: pokes[{number}]") for number, entry in enumerate(entries)]


def _poke(entry: Any, where: str) -> TimedPoke:
    if isinstance(entry, list):
        entry = dict(zip(NUMBERS, entry, strict=False)) if len(entry) == 4 else None
    if not isinstance(entry, dict):
        raise ValueError(f"{where}: must be [x, y, dx, dy] or have x, y, dx and dy")
    allowed = [field.name for field in fields(TimedPoke)]
    unknown = [str(name) for name in entry if name not in allowed]
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(unknown)}: must be {', '.join(allowed)}")
    missing = [name for name in NUMBERS[:4] if name not in entry]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}")
    for name, value in entry.items():
        _check(name, value, where)
    values: dict[str, Any] = {k: float(v) if k in NUMBERS else v for k, v in entry.items()}
    poke = TimedPoke(**values)
    if not poke.start < poke.end:
        raise ValueError(
            f"{where}: end is {poke.end:g}: must be after start, which is {poke.start:g}"
        )
    return poke


def _check(name: str, value: Any, where: str) -> None:
    if name in NUMBERS:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise ValueError(f"{where}: {name} is {value!r}: must be a finite number")
    elif name == "topic" and not isinstance(value, str):
        raise ValueError(f"{where}: topic is {value!r}: must be the name of a topic")
    elif name == "follow" and not isinstance(value, bool):
        raise ValueError(f"{where}: follow is {value!r}: must be true or false")
