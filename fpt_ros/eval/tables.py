# SPDX-License-Identifier: Apache-2.0
"""The figures as Markdown. Lengths are in percent of the picture's side."""

from __future__ import annotations

import math
from typing import Any

from fpt_ros.eval.figures import PCK_RADII, REGIONS
from fpt_ros.eval.predictions import SAMPLES


def tables(sets: dict[str, dict]) -> str:
    """All tables, each under its title; a row a set."""
    parts = [
        ("Displacement, end-point error", errors_table(sets)),
        ("Moving part, mean IoU", moving_part_table(sets)),
        ("Distribution over the whole picture", distribution_table(sets)),
        ("Calibration", calibration_table(sets)),
    ]
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in parts)


def errors_table(sets: dict[str, dict]) -> str:
    """Errors with one poke, the best baseline's, of perfect segmentation moved like the poke, with
    wrong pictures, and with four pokes."""
    rows = []
    for name, found in sets.items():
        follows = "same_body" if found["bodies_known"] else "moving"
        one, wrong = found["one_poke"], found["shuffled"] or {}
        perfect_parts = found["body_like_poke"] or {}
        best = min(baseline["mean"] for baseline in found["baselines"].values())
        rows.append([
            f"{name} ({found['cases']})",
            f"{percent(one[follows])} / {percent(one['static'])}",
            f"**{percent(one['mean'])}** ± {percent(one['mean_standard_error'])}",
            percent(best), percent(perfect_parts.get("mean")), percent(wrong.get("mean")),
            percent(found["four_pokes"][follows]), percent(one["moving"]),
        ])  # fmt: skip
    return markdown(
        ["set (cases)", "same body / static", "mean of both", "best baseline",
         "perfect parts, like the poke", "pictures shuffled",
         "four pokes: same body", "all that moves"], rows
    )  # fmt: skip


def moving_part_table(sets: dict[str, dict]) -> str:
    rows = []
    for name, found in sets.items():
        one, wrong = found["one_poke"], found["shuffled"] or {}
        rows.append([
            name, f"**{number(one['iou'], 3)}**", number(one["divergence_iou"], 3),
            number(found["disc_iou"], 3), number(wrong.get("iou"), 3),
            percent(one["believed_moving"]), percent(one["truly_moving"]),
        ])  # fmt: skip
    return markdown(
        ["set", "moving part", "divergence alone", "disc round the poke", "pictures shuffled",
         "believed to move", "truly moves"], rows
    )  # fmt: skip


def distribution_table(sets: dict[str, dict]) -> str:
    """Likelihood beside that of the best baseline, and the figures of the paper."""
    rows = []
    for name, found in sets.items():
        one, wrong = found["one_poke"], found["shuffled"] or {}
        best = min(baseline["nll"] for baseline in found["baselines"].values())
        rows.append([
            name, f"**{number(one['nll'])}**", number(best), number(wrong.get("nll")),
            number(found["no_poke"]["nll"]), number(found["four_pokes"]["nll"]),
            percent(one["epe_mean"]), percent(one["epe_sample"]),
            percent(one[f"epe_best_of_{SAMPLES}"]),
            " / ".join(percent(one[f"pck_{radius:g}"], 0) for radius in PCK_RADII),
        ])  # fmt: skip
    return markdown(
        ["set", "NLL", "best baseline", "pictures shuffled", "no poke", "four pokes",
         "EPE of the mean", "of a sample", f"of the best of {SAMPLES}",
         "PCK " + " / ".join(f"{radius:g}" for radius in PCK_RADII)], rows
    )  # fmt: skip


def calibration_table(sets: dict[str, dict]) -> str:
    """Coverage of the highest-density regions, and whether uncertainty goes with error."""
    rows = []
    for name, found in sets.items():
        one = found["one_poke"]
        covered, related = one["coverage"], one["correlation"]
        rows.append([
            name,
            *(" / ".join(percent(covered[group][f"{region:.0%}"], 0) for region in REGIONS)
              for group in ("all", "moving", "same_body")),
            *(f"{number(related[group]['spearman'])} / {number(related[group]['pearson'])}"
              for group in ("all", "moving")),
        ])  # fmt: skip
    regions = " / ".join(f"{region:.0%}" for region in REGIONS)
    return markdown(
        ["set", f"in the {regions} region", "of what moves", "of the poked body",
         "uncertainty and error: Spearman / Pearson", "of what moves"], rows
    )  # fmt: skip


def markdown(titles: list[str], rows: list[list[str]]) -> str:
    """A Markdown table whose columns also line up on a terminal."""
    widths = [max(map(len, column)) for column in zip(titles, *rows, strict=True)]
    lines = [titles, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| "
        + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        + " |"
        for line in lines
    )


def percent(value: Any, digits: int = 2) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}%}"


def number(value: Any, digits: int = 2) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"
