# SPDX-License-Identifier: Apache-2.0
"""What makes a model's stated uncertainty true on one's own robot; `fpt-bag score` writes it."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

LEAST, MOST = 0.1, 10.0


@dataclasses.dataclass(frozen=True)
class Calibration:
    """spread: by what the standard deviations of every component are multiplied. checkpoint: the
    SHA-256 of the weights that it was fitted to."""

    spread: float
    checkpoint: str


def read_calibration(path: str | Path, checkpoint: str) -> Calibration:
    """The calibration of a file, for a model with these weights.

    Args:
        checkpoint: the SHA-256 of the weights.

    Raises:
        ValueError: there is no such file, it is none, or it is of other weights; says which.
    """
    where = f"calibration {path}"
    try:
        found: Any = json.loads(Path(path).read_text())
    except OSError as error:
        raise ValueError(f"{where}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{where}: is no JSON: {error}") from error
    names = [field.name for field in dataclasses.fields(Calibration)]
    missing = names if not isinstance(found, dict) else [n for n in names if n not in found]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}: fpt-bag score writes such files")
    spread = found["spread"]
    number = isinstance(spread, int | float) and not isinstance(spread, bool)
    if not number or not math.isfinite(spread) or not LEAST <= spread <= MOST:
        raise ValueError(f"{where}: spread is {spread!r}: must be {LEAST:g} to {MOST:g}")
    if found["checkpoint"] != checkpoint:
        raise ValueError(
            f"{where}: was fitted to the weights {str(found['checkpoint'])[:12]}..., these are "
            f"{checkpoint[:12]}...: score them and take the file that comes of it"
        )
    return Calibration(float(spread), checkpoint)
