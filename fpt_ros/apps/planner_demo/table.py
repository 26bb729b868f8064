"""What came of all trials, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fpt_ros.apps.planner_demo.trials import PLANNER
from fpt_ros.simulation.push_tasks import STILL, TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fpt_ros.apps.planner_demo.trials import Trial, Verdict

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
    """What the table's words mean, and how right the planner was about itself."""
    expected = [trial.plan.probability[0] for trial in trials]
    counts = {split: sum(t.split == split for t in trials) for split in {t.split for t in trials}}
    scenes = ", ".join(f"{count} of {split}" for split, count in sorted(counts.items()))
    by_split = ", ".join(
        f"{share(t.verdicts[PLANNER].reached for t in trials if t.split == split)} on {split}"
        for split in sorted(counts)
    )
    return (
        f"Scenes: {scenes}. Reached: within {100 * TOLERANCE:.0f}% of the image side; moved: more"
        f" than {100 * STILL:.0f}%. Planner: {by_split}; it gave its pokes a probability of"
        f" {100 * np.mean(expected):.0f}% on average."
    )


def share(flags: Iterable[bool]) -> str:
    return f"{100 * np.mean(list(flags)):.0f}%"
