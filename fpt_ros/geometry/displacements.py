# SPDX-License-Identifier: Apache-2.0
"""How points of a part move in metres, by all hypotheses of its joint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.geometry.joints import Joint


def displacements(
    joints: Sequence[Joint],
    points: Float[np.ndarray, "n 3"],
) -> tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "n 3 3"]]:
    """Displacements [m] by the best joint, and their covariances [m^2] about it.

    They count what the fit left open, the noise of the points' own depth, and how far the other
    hypotheses, by their probability, would take the points. NaN for points that are not numbers.
    """
    raise NotImplementedError
