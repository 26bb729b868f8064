# SPDX-License-Identifier: Apache-2.0
"""Figures of joints as Markdown."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.eval.shares import share
from fpt_ros.eval.tables import markdown

if TYPE_CHECKING:
    from fpt_ros.eval.joint_answers import Answer

NAMES = {
    "joint": "**joint**",
    "naive": "old depth",
    "translation": "translation only",
    "perspective": "PnP",
}
FOLLOWED = (0, 20, 60, 150, 1000)
TITLES = ["asked", "way", "error", "kind right", "usable", "axis as wanted", "degrees", "cm",
          "agree, usable of those", "in the 90 % region"]  # fmt: skip


def tables(answers: list[Answer]) -> str:
    """Hinges and slides; the same square and askew; and observations by the points followed."""
    parts = []
    for tilted in (None, False, True):
        for hinge in (True, False):
            some = [a for a in answers if a.hinge == hinge and tilted in (None, a.tilted)]
            if some:
                how = {None: "", False: ", square", True: ", askew"}[tilted]
                count = len({answer.scene for answer in some})
                title = f"{'Hinges' if hinge else 'Slides'}{how} ({count} scenes)"
                parts.append(f"**{title}**\n\n{markdown(TITLES, rows(some))}")
    return "\n\n".join([*parts, f"**By the points that were followed**\n\n{by_points(answers)}"])


def by_points(answers: list[Answer]) -> str:
    """Observations of all ways, by how many points were seen to move."""
    found = []
    for low, high in itertools.pairwise(FOLLOWED):
        some = [
            a
            for a in answers
            if a.way == "joint" and a.asked.startswith("seen") and low <= a.followed < high
        ]
        if some:
            flags = [
                [getattr(a, name) for a in some] for name in ("kind_right", "usable", "wanted")
            ]
            found.append([f"{low} to {high - 1}", *map(share, flags)])
    return markdown(["points that moved", "kind right", "usable", "axis as wanted"], found)


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
