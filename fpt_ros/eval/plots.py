# SPDX-License-Identifier: Apache-2.0
"""The figures as pictures: a line or a bar for each set, or a panel for each."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from fpt_ros.eval.figures import LEVELS, case_means, mean

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jaxtyping import Float
    from matplotlib.axes import Axes

    from fpt_ros.eval.evaluation import Evaluation

OURS, SHUFFLED = "#1f6fb4", "#d1495b"
BASELINES = ("#333333", "#777777", "#b5b5b5", "#2a9d5c", "#e9a03b")
"""Colours of the baselines: grey those that see no picture."""
BINS = 12
RADII = np.geomspace(0.001, 0.3, 40)
COLUMNS = 3
FEWEST = 5
"""Cases to take a mean of."""


def write_plots(found: dict[str, Evaluation], folder: Path) -> None:
    """Write all plots to the folder as PNG."""
    plots = {
        "bars": bars(found),
        "coverage": coverage(found),
        "uncertainty": uncertainty(found),
        "pck": pck_curves(found),
        "distance": distance(found),
    }
    for name, figure in plots.items():
        figure.savefig(folder / f"{name}.png", dpi=110)


def bars(found: dict[str, Evaluation]) -> Figure:
    """Error, moving part and likelihood: ours, with wrong pictures, and the baselines'."""
    figure, (error, iou, nll) = _panels(3, "", width=4.8)
    sets = {name: one.figures for name, one in found.items()}

    def of(figures: dict, condition: str, name: str) -> float:
        return (figures[condition] or {}).get(name, np.nan)

    for axes, name in ((error, "mean"), (nll, "nll")):
        groups = {
            "ours": [of(f, "one_poke", name) for f in sets.values()],
            "pictures shuffled": [of(f, "shuffled", name) for f in sets.values()],
            **{
                baseline: [f["baselines"][baseline][name] for f in sets.values()]
                for baseline in next(iter(sets.values()))["baselines"]
            },
        }
        _grouped_bars(axes, list(sets), groups)
    ious = {
        "ours": [of(f, "one_poke", "iou") for f in sets.values()],
        "pictures shuffled": [of(f, "shuffled", "iou") for f in sets.values()],
        "divergence alone": [of(f, "one_poke", "divergence_iou") for f in sets.values()],
        "disc round the poke": [f["disc_iou"] for f in sets.values()],
        **{
            segmenter: [f["segmenter_iou"][segmenter] for f in sets.values()]
            for segmenter in next(iter(sets.values()))["segmenter_iou"]
        },
    }
    _grouped_bars(iou, list(sets), ious)
    error.set_title("error, mean of poked body and what stays [image sides]", fontsize=10)
    iou.set_title("moving part, mean IoU", fontsize=10)
    nll.set_title("NLL [nats]", fontsize=10)
    nll.invert_yaxis()
    for axes in (error, iou, nll):
        axes.legend(fontsize=7, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.08))
    return figure


def coverage(found: dict[str, Evaluation]) -> Figure:
    """How often the truth is in the smallest region of each probability."""
    groups = {"all": "whole picture", "moving": "what moves", "same_body": "poked body"}
    figure, panels = _panels(len(groups), "probability of the region")
    for axes, (group, title) in zip(panels, groups.items(), strict=True):
        axes.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=":")
        for name, one in found.items():
            curve = one.figures["one_poke"]["calibration_curve"][group]
            axes.plot(LEVELS, curve, marker=".", label=name)
        axes.set(title=title, xlim=(0, 1), ylim=(0, 1))
    panels[0].set_ylabel("share of the truths in it")
    panels[0].legend(fontsize=7)
    return figure


def uncertainty(found: dict[str, Evaluation]) -> Figure:
    """Root mean square error of points of like predicted uncertainty; equal on the dotted line."""
    figure, (axes,) = _panels(1, "predicted: root of the covariance's trace [image sides]", 5.5)
    for name, one in found.items():
        order = np.argsort(one.one_poke.spread)
        error = np.linalg.norm(one.one_poke.mean - one.cases.flow, axis=-1)
        parts = [part for part in np.array_split(order, BINS) if len(part)]
        predicted = [np.sqrt((one.one_poke.spread[part] ** 2).mean()) for part in parts]
        true = [np.sqrt((error[part] ** 2).mean()) for part in parts]
        axes.plot(predicted, true, marker=".", label=name)
    low, high = min(axes.get_xlim()[0], 1e-3), axes.get_xlim()[1]
    axes.plot([low, high], [low, high], color="black", linewidth=0.8, linestyle=":")
    axes.set(xscale="log", yscale="log", title="error against predicted uncertainty")
    axes.set_ylabel("error of the mean, RMS [image sides]")
    axes.legend(fontsize=7)
    return figure


def pck_curves(found: dict[str, Evaluation]) -> Figure:
    """Share of points, over the whole picture, whose estimate is as near to the truth."""
    figure, panels = _panels(len(found), "distance [image sides]")
    for axes, (name, one) in zip(panels, found.items(), strict=False):
        for title, errors, style in _estimates(one):
            shares = [mean(one.cases, errors < radius, one.cases.weight) for radius in RADII]
            axes.plot(RADII, shares, label=title, **style)
        errors = one.one_poke.sample_errors
        shares = [mean(one.cases, (errors < r).mean(1), one.cases.weight) for r in RADII]
        axes.plot(RADII, shares, label="ours, a sample", color=OURS, linestyle="--")
        axes.set(title=name, xscale="log", ylim=(0, 1))
    panels[0].set_ylabel("share of points nearer (PCK)")
    panels[0].legend(fontsize=7)
    return figure


def distance(found: dict[str, Evaluation]) -> Figure:
    """Error of what moves, by its distance from the poke."""
    figure, panels = _panels(len(found), "distance from the poke [image sides]")
    edges = np.linspace(0, 0.6, 13)
    for axes, (name, one) in zip(panels, found.items(), strict=False):
        which = np.digitize(one.cases.distance, edges) - 1
        for title, errors, style in _estimates(one):
            middle = []
            for part in range(len(edges) - 1):
                of = case_means(one.cases, errors, one.cases.moving & (which == part))
                enough = np.isfinite(of).sum() >= FEWEST
                middle.append(np.nanmean(of) if enough else np.nan)
            axes.plot((edges[:-1] + edges[1:]) / 2, middle, label=title, **style)
        axes.set(title=name, ylim=(0, None))
    panels[0].set_ylabel("error of what moves [image sides]")
    panels[0].legend(fontsize=7)
    return figure


def _estimates(one: Evaluation) -> Iterable[tuple[str, Float[np.ndarray, "n"], dict]]:
    """Name, errors and line of our estimate and of the baselines'."""
    yield "ours", _error(one, one.one_poke.mean), {"color": OURS, "linewidth": 2}
    for (name, estimate), colour in zip(one.estimates.items(), BASELINES, strict=True):
        yield name, _error(one, estimate), {"color": colour}


def _error(one: Evaluation, estimate: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n"]:
    return np.linalg.norm(estimate - one.cases.flow, axis=-1)


def _grouped_bars(axes: Axes, sets: list[str], groups: dict[str, list[float]]) -> None:
    """A cluster of bars for each set."""
    width = 0.8 / len(groups)
    colours = (OURS, SHUFFLED, *BASELINES)
    for number, (title, values) in enumerate(groups.items()):
        at = np.arange(len(sets)) + (number - (len(groups) - 1) / 2) * width
        axes.bar(at, values, width, label=title, color=colours[number])
    axes.set_xticks(np.arange(len(sets)), sets, fontsize=7)


def _panels(count: int, xlabel: str, width: float = 3.8) -> tuple[Figure, list[Axes]]:
    """Axes in rows of at most three."""
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = Figure(figsize=(width * columns, 3.6 * rows), layout="constrained")
    panels = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    for axes in panels:
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if xlabel:
            axes.set_xlabel(xlabel)
    return figure, panels
