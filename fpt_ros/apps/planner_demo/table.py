# SPDX-License-Identifier: Apache-2.0
"""What came of all trials, in a table."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.apps.planner_demo.endings import REACHED
from fpt_ros.apps.planner_demo.trials import TRIES
from fpt_ros.simulation.push_tasks import STILL, TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fpt_ros.apps.planner_demo.trials import Trial
    from fpt_ros.apps.planner_demo.verdicts import Verdict

TRUST = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Limits of the planner's own probabilities between which its successes are counted."""
HEADER = (
    "| pushed by | wanted point reached its goal | and nothing else moved "
    "| mean error (median) | something else moved | by, on average |\n"
    "| --- | --- | --- | --- | --- | --- |"
)


def table(trials: list[Trial]) -> str:
    """A Markdown table, one row a way to choose the poke."""
    rows = [row(name, [trial.verdicts[name] for trial in trials]) for name in trials[0].verdicts]
    return "\n".join([HEADER, *rows])


def row(name: str, verdicts: list[Verdict]) -> str:
    errors = [100 * verdict.error for verdict in verdicts]
    moved = [100 * max(verdict.stay_moved, verdict.bystander_moved) for verdict in verdicts]
    reached = share(verdict.reached for verdict in verdicts)
    both = share(verdict.reached and verdict.stayed for verdict in verdicts)
    disturbed = share(not verdict.stayed for verdict in verdicts)
    return (
        f"| {name} | {reached} | {both} | {np.mean(errors):.1f}% ({np.median(errors):.1f}%) "
        f"| {disturbed} | {np.mean(moved):.1f}% |"
    )


def summary(trials: list[Trial]) -> str:
    """What the table's words mean, the planner by kind of scene, and how right it was of itself."""
    by_split = "; ".join(
        f"{split} {reached([trial for trial in trials if trial.split == split])}"
        for split in sorted({trial.split for trial in trials})
    )
    by_trust = "; ".join(
        f"{100 * low:.0f}% to {100 * high:.0f}%: "
        + reached([t for t in trials if low <= t.first.plan.probability[0] <= high])
        for low, high in itertools.pairwise(TRUST)
    )
    by_tries = ", ".join(str(len(solved(trials, tries))) for tries in range(1, TRIES + 1))
    missed = [trial for trial in trials if not trial.tries[-1].verdict.reached]
    seconds = [one.seconds for trial in trials for one in trial.tries]
    return (
        f"Reached: within {100 * TOLERANCE:.0f}% of the image side; moved: by more than"
        f" {100 * STILL:.0f}%.\nThe planner's first poke reached its goal on {by_split}.\n"
        f"By the probability that it gave that poke beforehand: {by_trust}.\n"
        f"Of the plans that it called infeasible it reached"
        f" {reached([trial for trial in trials if not trial.first.plan.feasible])}.\n"
        f"How its other first pokes ended: {failures([trial.first.verdict for trial in trials])}.\n"
        f"With up to 1, 2, ... pokes it reached {by_tries} of {len(trials)}.\n"
        f"How its last poke ended in the others:"
        f" {failures([trial.tries[-1].verdict for trial in missed])}.\n"
        f"Planning took {np.median(seconds):.1f} s (median)."
    )


def reached(trials: list[Trial]) -> str:
    """How many of them the planner's first poke solved."""
    return f"{len(solved(trials, 1))} of {len(trials)}"


def solved(trials: list[Trial], tries: int) -> list[Trial]:
    """Those that the planner solved with so many pokes or fewer."""
    return [t for t in trials if t.tries[-1].verdict.reached and len(t.tries) <= tries]


def failures(verdicts: list[Verdict]) -> str:
    """How often each way to fail occurred, the most frequent first."""
    endings = Counter(verdict.ending for verdict in verdicts)
    del endings[REACHED]
    return "; ".join(f"{count} x {ending}" for ending, count in endings.most_common()) or "none"


def share(flags: Iterable[bool]) -> str:
    return f"{100 * np.mean(list(flags)):.0f}%"
