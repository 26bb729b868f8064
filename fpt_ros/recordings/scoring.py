# SPDX-License-Identifier: Apache-2.0
"""`fpt-bag score`: a report card on one's own recording, without labels."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpt_ros.eval.__main__ import plain
from fpt_ros.inference.packing import for_inference
from fpt_ros.model import load_checkpoint
from fpt_ros.recordings.cameras import choose_topics
from fpt_ros.recordings.reading import open_bag
from fpt_ros.recordings.report_card import (
    BETTER,
    FEWEST,
    SURE,
    TRUE,
    Card,
    Halves,
    best_baseline,
    by_kind,
    by_time,
    judge,
    judge_baselines,
    verdict,
)
from fpt_ros.recordings.report_page import write_page
from fpt_ros.recordings.stretches import Search, find_stretches

if TYPE_CHECKING:
    from fpt_ros.images import Reading
    from fpt_ros.model import FlowPokeTransformer

HORIZON = 1.0
"""Seconds, where neither the caller nor the checkpoint says it."""


@dataclass(frozen=True)
class Question:
    """What is to be scored. topics, horizon: None: all; the first checkpoint's own, or a second."""

    checkpoints: list[str]
    topics: list[str] | None
    horizon: float | None
    most: int
    device: str
    allow_download: bool
    reading: Reading


def score_bag(source: Path, out: Path, question: Question) -> dict[str, Any]:
    """Write report.html, report.json and a calibration file for each checkpoint to `out`, where one
    can be fitted.

    Returns what stands in report.json.

    Raises:
        OSError: the bag is not there, or `out` cannot be written.
        ValueError: nothing moves in the bag, or nothing can be read.
    """
    models = [_load(name, question) for name in question.checkpoints]
    bag = open_bag(source)
    topics, notes = choose_topics(bag, question.topics, question.reading)
    horizon = question.horizon or models[0].config.horizon or HORIZON
    stretches, looked = find_stretches(
        bag, Search(topics, horizon, question.most, question.reading)
    )
    if len(stretches) < 4:
        raise ValueError(
            f"{source}: of {looked} stretches of {horizon:g} s something that can be followed "
            f"moves in {len(stretches)}: at least 4 are needed"
        )
    halves = Halves.of(stretches)
    baselines, errors = judge_baselines(models[0], halves)
    names = _names(question.checkpoints)
    cards = [judge(name, model, halves) for name, model in zip(names, models, strict=True)]
    record = _record(source, topics, horizon, looked, halves, cards, baselines, errors)
    record["notes"] = [*notes, *bag.damage]
    out.mkdir(parents=True, exist_ok=True)
    for number, (card, model) in enumerate(zip(cards, models, strict=True), 1):
        if not math.isfinite(card.spread):
            continue  # no factor does it
        file = out / ("calibration.json" if len(cards) == 1 else f"calibration_{number}.json")
        file.write_text(json.dumps(_calibration(card, model, source), indent=1) + "\n")
    (out / "report.json").write_text(json.dumps(plain(record), indent=1) + "\n")
    write_page(
        record, halves.judged, dict(zip(names, models, strict=True)), cards, out / "report.html"
    )
    return record


def _load(name: str, question: Question) -> FlowPokeTransformer:
    model = load_checkpoint(name, question.device, "float32", question.allow_download)
    return for_inference(model)


def _names(checkpoints: list[str]) -> list[str]:
    """Short names that differ."""
    short = [Path(name).stem if "/" in name else name for name in checkpoints]
    return short if len(set(short)) == len(short) else checkpoints


def _record(
    source: Path,
    topics: list[str],
    horizon: float,
    looked: int,
    halves: Halves,
    cards: list[Card],
    baselines: dict[str, dict[str, Any]],
    errors: dict[str, Any],
) -> dict[str, Any]:
    shown = {**{card.name: card.errors for card in cards}}
    shown[best_baseline(baselines)] = errors[best_baseline(baselines)]
    verdicts = {card.name: verdict(card, baselines, errors) for card in cards}
    return {
        "bag": source.resolve().name,
        "topics": topics,
        "horizon": horizon,
        "stretches": {
            "looked_at": looked,
            "fitted": len(halves.fitted),
            "judged": len(halves.judged),
        },
        "checkpoints": {card.name: card.figures for card in cards},
        "baselines": baselines,
        "best_baseline": best_baseline(baselines),
        "by_kind": by_kind(halves, shown),
        "by_time": by_time(halves, shown),
        "verdict": {name: word for name, (word, _) in verdicts.items()},
        "sentence": {name: text for name, (_, text) in verdicts.items()},
        "thresholds": {
            "error_share_of_best_baseline": BETTER,
            "standard_errors": SURE,
            "regions_hold_at_least": TRUE,
            "fewest_stretches": FEWEST,
        },
    }


def _calibration(card: Card, model: FlowPokeTransformer, source: Path) -> dict[str, Any]:
    """What `fpt_ros.inference.calibration` reads, and where it comes from."""
    origin = model.provenance
    return {
        "spread": round(card.spread, 4),
        "checkpoint": origin.sha256 if origin else "",
        "fitted_to": source.resolve().name,
        "regions_of_90_percent_hold": {
            "as_stated": card.figures["holds_as_stated"],
            "calibrated": card.figures["holds_calibrated"],
        },
    }
