# SPDX-License-Identifier: Apache-2.0
"""Figures of joints as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.eval.tables import markdown

if TYPE_CHECKING:
    from fpt_ros.eval.joint_answers import Answer

NAMES = {
    "joint": "**joint**",
    "naive": "old depth",
    "translation": "translation only",
    "perspective": "PnP",
}
Z = 1.96
TITLES = ["asked", "way", "error", "kind right", "usable", "axis as wanted", "degrees", "cm",
          "agree, usable of those", "in the 90 % region"]  # fmt: skip


def tables(answers: list[Answer]) -> str:
    """A table each for hinges and slides, square and askew."""
    parts = []
    for tilted in (False, True):
        for hinge in (True, False):
            some = [a for a in answers if a.tilted == tilted and a.hinge == hinge]
            if some:
                title = f"{'Hinges' if hinge else 'Slides'}, {'askew' if tilted else 'square'}"
                count = len({answer.scene for answer in some})
                parts.append(f"**{title} ({count} scenes)**\n\n{markdown(TITLES, rows(some))}")
    return "\n\n".join(parts)


def rows(answers: list[Answer]) -> list[list[str]]:
    """A row a question and way, in the order in which they came."""
    found = []
    for asked, way in dict.fromkeys((answer.asked, answer.way) for answer in answers):
        some = [a for a in answers if (a.asked, a.way) == (asked, way)]
        right = [a for a in some if a.kind_right]
        agreed = [a for a in some if a.agreed]
        places = way != "naive"
        found.append([
            asked, NAMES[way], quartiles([a.error for a in some]),
            share(a.kind_right for a in some) if places else "-",
            share(a.usable for a in some) if places else "-",
            share(a.wanted for a in some) if places else "-",
            quartiles([a.degrees for a in right], 1) if places else "-",
            quartiles([100 * a.metres for a in right], 1) if places else "-",
            f"{len(agreed)}, {sum(a.usable for a in agreed)}" if way == "joint" else "-",
            f"{np.nanmean([a.covered for a in some]):.0%}"
            if any(np.isfinite(a.covered) for a in some) else "-",
        ])  # fmt: skip
    return found


def quartiles(values: list[float], digits: int = 2) -> str:
    """Median / 75th percentile; no answer counts as endless error."""
    finite = [np.inf if np.isnan(value) else value for value in values]
    if not finite or np.isinf(min(finite)):
        return "-"
    ends = np.quantile(finite, (0.5, 0.75), method="lower")
    return " / ".join(f"{value:.{digits}f}" for value in ends)


def share(flags: object) -> str:
    """How many of how many, with the 95 % interval (E. Wilson, 1927)."""
    given = list(flags)  # type: ignore[call-overload]
    n, p = len(given), float(np.mean(given))
    middle = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2))
    return f"{sum(given)}/{n} ({max(middle - half, 0):.2f}-{middle + half:.2f})"
