# SPDX-License-Identifier: Apache-2.0
"""The figures as Markdown. Lengths are in percent of the picture's side."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fpt_ros.eval.baselines import BLIND
from fpt_ros.eval.figures import PCK_RADII, REGIONS
from fpt_ros.eval.predictions import SAMPLES
from fpt_ros.eval.segmenters import CANDIDATES

if TYPE_CHECKING:
    from collections.abc import Callable


def tables(sets: dict[str, dict]) -> str:
    """All tables, each under its title; a row a set."""
    parts = [
        ("Displacement, end-point error", errors_table(sets)),
        ("Mean of both, by how the poked body moves", splits_table(sets)),
        ("Moving part, mean IoU", moving_part_table(sets)),
        ("Distribution over the whole picture", distribution_table(sets)),
        ("Calibration", calibration_table(sets)),
    ]
    return "\n\n".join(f"**{title}**\n\n{table}" for title, table in parts if table)


def errors_table(sets: dict[str, dict]) -> str:
    """Errors of the mean with one poke, those of the best baseline that sees no picture and of the
    best that does, of perfect segmentation moved like the poke, with wrong pictures, and with four
    pokes."""
    rows = []
    for name, found in sets.items():
        follows = "same_body" if found["bodies_known"] else "moving"
        one, perfect_parts = found["one_poke"], found["body_like_poke"] or {}
        blind, seeing = (
            min(values(found["baselines"], "mean", sees), default=None) for sees in (False, True)
        )
        rows.append([
            f"{name} ({found['cases']})",
            f"{percent(one[follows])} / {percent(one['static'])}",
            f"**{percent(one['mean'])}** ± {percent(one['mean_standard_error'])}",
            percent(blind), percent(seeing), percent(perfect_parts.get("mean")),
            shuffled(found, "mean", percent),
            percent(found["four_pokes"][follows]), percent(one["moving"]),
        ])  # fmt: skip
    return markdown(
        ["set (cases)", "same body / static", "mean of both", "best without the picture",
         "best segmenter, like the poke", "perfect parts, like the poke", "pictures shuffled",
         "four pokes: same body", "all that moves"], rows
    )  # fmt: skip


def splits_table(sets: dict[str, dict]) -> str:
    """Errors with one poke for each kind of motion; empty where bodies are not known."""
    rows = []
    for name, found in sets.items():
        for kind, split in found["splits"].items():
            ours = split["ours"]
            blind, seeing = (
                min(values(split, "mean", sees), default=None) for sees in (False, True)
            )
            rows.append([
                name, kind, str(split["cases"]),
                f"**{percent(ours['mean'])}** ± {percent(ours['standard_error'])}",
                percent(blind), percent(seeing),
                percent(split["perfect parts, like the poke"]["mean"]),
            ])  # fmt: skip
    if not rows:
        return ""
    return markdown(
        ["set", "the poked body", "cases", "mean of both", "best without the picture",
         "best segmenter, like the poke", "perfect parts, like the poke"], rows
    )  # fmt: skip


def values(baselines: dict[str, Any], figure: str, sees: bool) -> list[float]:
    """A figure of each baseline that sees the picture, or of each that does not."""
    return [
        found[figure]
        for name, found in baselines.items()
        if name in (CANDIDATES if sees else BLIND)
    ]


def shuffled(found: dict, figure: str, written: Callable[[Any], str]) -> str:
    """A figure with the pictures exchanged, or why there is none."""
    return "one scene" if found["shuffled"] is None else written(found["shuffled"][figure])


def moving_part_table(sets: dict[str, dict]) -> str:
    rows = []
    for name, found in sets.items():
        one = found["one_poke"]
        rows.append([
            name, f"**{number(one['iou'], 3)}**", number(one["divergence_iou"], 3),
            number(found["disc_iou"], 3),
            *(number(iou, 3) for iou in found["segmenter_iou"].values()),
            shuffled(found, "iou", lambda iou: number(iou, 3)),
            percent(one["believed_moving"]), percent(one["truly_moving"]),
        ])  # fmt: skip
    return markdown(
        ["set", "moving part", "divergence alone", "disc round the poke", *CANDIDATES,
         "pictures shuffled", "believed to move", "truly moves"], rows
    )  # fmt: skip


def distribution_table(sets: dict[str, dict]) -> str:
    """Likelihood beside that of the best baseline, and the figures of the paper."""
    rows = []
    for name, found in sets.items():
        one = found["one_poke"]
        best = min(baseline["nll"] for baseline in found["baselines"].values())
        rows.append([
            name, f"**{number(one['nll'])}**", number(best), shuffled(found, "nll", number),
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
