# SPDX-License-Identifier: Apache-2.0
"""The report card as one HTML page with its pictures inside."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from fpt_ros.eval.contact_sheet import case_strip
from fpt_ros.inference.predictor import Predictor

if TYPE_CHECKING:
    from pathlib import Path

    from jaxtyping import UInt8

    from fpt_ros.model import FlowPokeTransformer
    from fpt_ros.recordings.report_card import Card
    from fpt_ros.recordings.stretches import Stretch

EACH = 3
"""Pictures of the best, of typical and of the worst cases."""
JPEG_QUALITY = 85
WIDTH, HEIGHT, MARGIN = 720, 220, 40
COLOURS = ("#0b6bcb", "#c2410c", "#6b7280")
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1rem;
       color: #1f2937; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .8rem; text-align: right; border-bottom: 1px solid #d1d5db; }
th:first-child, td:first-child { text-align: left; }
img { width: 100%; display: block; }
figure { margin: .8rem 0; } figcaption { color: #4b5563; }
.verdict { padding: 1rem; border-left: .4rem solid; background: #f3f4f6; font-size: 1.1rem; }
.use { border-color: #15803d; } .tune { border-color: #ca8a04; }
.not { border-color: #b91c1c; } .unknown { border-color: #6b7280; }
"""


def write_page(
    record: dict[str, Any],
    judged: list[Stretch],
    models: dict[str, FlowPokeTransformer],
    cards: list[Card],
    path: Path,
) -> None:
    """Write the page of a report; pictures are those of every checkpoint, chosen by the first."""
    counts = record["stretches"]
    parts = [
        f"<h1>{escape(record['bag'])}</h1>",
        *[
            f'<p class="verdict {record["verdict"][card.name]}">'
            f"{escape(record['sentence'][card.name])}</p>"
            for card in cards
        ],
        f"<p>In {counts['looked_at']} stretches of {record['horizon']:g} s from "
        f"{escape(', '.join(record['topics']))}, something that can be followed moves in "
        f"{counts['fitted'] + counts['judged']}. One tracked point is the poke: where do the "
        f"others go? What had to be chosen or fitted was so on {counts['fitted']}, judged are the "
        f"other {counts['judged']}. Nobody labelled anything: the truth is what a tracker followed "
        "there and back.</p>",
        *[f"<p>{escape(note)}</p>" for note in record["notes"]],
        "<h2>Beside baselines</h2>",
        _figures_table(record),
        "<h2>Regions of 90 %</h2>",
        _regions_table(record),
        "<h2>By time</h2>",
        _chart(record["by_time"]),
        "<h2>By kind of motion</h2>",
        _kinds_table(record["by_kind"]),
        *_pictures(judged, models, cards),
        f"<p>Thresholds: {escape(str(record['thresholds']))}</p>",
    ]
    head = '<!doctype html><html lang="en"><meta charset="utf-8">'
    title = f"<title>{escape(record['bag'])}: report card</title><style>{STYLE}</style>"
    path.write_text(f"{head}{title}<body>{''.join(parts)}</body></html>\n")


def _figures_table(record: dict[str, Any]) -> str:
    rows = [
        [
            name,
            *[_percent(of.get(key)) for key in ("error", "error_moving", "error_still")],
            _number(of.get("log_likelihood")),
            _percent(of.get("overlap"), 0),
        ]
        for name, of in {**record["checkpoints"], **record["baselines"]}.items()
    ]
    head = ["", "error", "of what moves", "of what stays", "log-likelihood", "overlap"]
    return _table(head, rows) + (
        "<p>Errors: distance of the expected from the seen motion in percent of the picture's "
        "side, half of it counted on what moves, half on what stays. Log-likelihood: of the seen "
        "motion, nats a point, the more the better. Overlap: of the moving part, intersection over "
        "union.</p>"
    )


def _regions_table(record: dict[str, Any]) -> str:
    rows = []
    for name, of in record["checkpoints"].items():
        for label, key in (("as stated", "holds_as_stated"), ("calibrated", "holds_calibrated")):
            if key == "holds_calibrated" and not np.isfinite(of["spread"]):
                rows.append([f"{name}: no factor makes them true: no calibration file"])
                continue
            held = [_percent(of[key][group], 0) for group in ("moving", "still", "all")]
            factor = "1" if key == "holds_as_stated" else f"{of['spread']:.2f}"
            rows.append([f"{name}, {label}", *held, factor])
    return _table(["hold of the motions", "moving", "still", "all", "spread times"], rows)


def _kinds_table(kinds: dict[str, dict[str, Any]]) -> str:
    names = list(next(iter(kinds.values()))["errors"])
    rows = [
        [kind, str(of["cases"]), *[_percent(of["errors"][name]) for name in names]]
        for kind, of in kinds.items()
    ]
    return _table(["", "stretches", *[f"error of {name}" for name in names]], rows)


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _chart(parts: list[dict[str, Any]]) -> str:
    """Errors over the recording's time, a line each."""
    names = list(parts[0]["errors"])
    highest = max(max(part["errors"].values()) for part in parts)
    start, end = parts[0]["from"], parts[-1]["to"]
    lines = []
    for name, colour in zip(names, COLOURS, strict=False):
        points = " ".join(
            f"{MARGIN + ((part['from'] + part['to']) / 2 - start) / (end - start) * WIDTH:.1f},"
            f"{MARGIN + (1 - part['errors'][name] / highest) * HEIGHT:.1f}"
            for part in parts
        )
        x, y = MARGIN + 8 + 220 * names.index(name), 20
        lines.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.5"/>'
            f'<text x="{x}" y="{y}" fill="{colour}">{escape(name)}</text>'
        )
    bottom = MARGIN + HEIGHT
    return (
        f'<svg viewBox="0 0 {WIDTH + 2 * MARGIN} {bottom + MARGIN}" width="100%" '
        f'style="max-width:56rem" font-size="14" role="img" aria-label="Error over time">'
        f'<path d="M{MARGIN} {MARGIN}V{bottom}H{MARGIN + WIDTH}" fill="none" stroke="#9ca3af"/>'
        f'<text x="2" y="{MARGIN - 4}">{highest:.1%}</text><text x="8" y="{bottom}">0</text>'
        f'<text x="{MARGIN}" y="{bottom + 20}">{start:.0f} s</text>'
        f'<text x="{MARGIN + WIDTH - 40}" y="{bottom + 20}">{end:.0f} s</text>'
        f"{''.join(lines)}</svg>"
    )


def _pictures(
    judged: list[Stretch], models: dict[str, FlowPokeTransformer], cards: list[Card]
) -> list[str]:
    """Strips of the best, typical and worst cases: of each, one strip a checkpoint."""
    order = np.argsort(cards[0].errors, kind="stable")
    each = min(EACH, max(len(order) // 3, 1))
    middle = (len(order) - each) // 2
    groups = {
        "Best": order[:each],
        "Typical": order[middle : middle + each],
        "Worst": order[::-1][:each],
    }
    predictors = {name: Predictor(model) for name, model in models.items()}
    parts = [
        "<h2>Pictures</h2><p>From left to right: the picture and the poke; where points were seen "
        "to go; where they are said to go; the flow said everywhere; the moving part.</p>"
    ]
    for title, numbers in groups.items():
        parts.append(f"<h3>{title}</h3>")
        for number in numbers:
            for card in cards:
                strip = case_strip(predictors[card.name], judged[number].case)
                text = f"{judged[number].case.key}, {card.name}: error {card.errors[number]:.2%}"
                parts.append(_figure(strip, text))
    return parts


def _figure(picture: UInt8[np.ndarray, "h w 3"], caption: str) -> str:
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    source = base64.b64encode(data.tobytes()).decode()
    text = escape(caption)
    return (
        f'<figure><img alt="{text}" src="data:image/jpeg;base64,{source}">'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _percent(value: float | None, digits: int = 2) -> str:
    return "" if value is None or np.isnan(value) else f"{value:.{digits}%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
