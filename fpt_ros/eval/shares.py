# SPDX-License-Identifier: Apache-2.0
"""Shares with their intervals."""

from __future__ import annotations

import numpy as np

Z = 1.96
"""Standard deviations that 95 % lie within."""


def share(flags: object) -> str:
    """How many of how many, with the 95 % interval (E. Wilson, 1927)."""
    given = list(flags)  # type: ignore[call-overload]
    n, p = len(given), float(np.mean(given))
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return f"{sum(given)}/{n} ({max(middle - half, 0):.2f}-{middle + half:.2f})"
