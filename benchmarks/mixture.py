# SPDX-License-Identifier: Apache-2.0
"""How many mixtures a second and core are evaluated against a goal, and compared.

    python benchmarks/mixture.py

As a planner asks: 64 candidates x 16 points, float64, all on one thread. The best of several runs
counts, since other work only ever slows a run down. Then how exact the divergence is that finds the
moving part, for what the embedded weights predict with a poke and without.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import torch

from fpt_ros import Predictor
from fpt_ros.model.log_density import expected_log_ratio
from fpt_ros.model.mixture import MotionMixture, mixture_from_head

if TYPE_CHECKING:
    from collections.abc import Callable

COMPONENTS = 4
PICTURE = Path(__file__).parents[1] / "docs/pictures/simulation.jpg"
EXACT_RINGS = (48,) * 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mixtures", type=int, default=1024, help="in one call")
    parser.add_argument("--runs", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"mixtures of {COMPONENTS} normals, {options.mixtures} in one call, one thread")
    print("\n| | mixtures a second |\n| --- | --- |")
    with torch.inference_mode():
        for name, answer in questions(options.mixtures).items():
            rate = options.mixtures / best_time(answer, options.runs)
            print(f"| {name} | {rate:,.0f} |")
        print("\n| divergence, error [nats] | median | 99 % |\n| --- | --- | --- |")
        for name, error in divergence_errors().items():
            median, most = (error.quantile(q).item() for q in (0.5, 0.99))
            print(f"| {name} | {median:.4f} | {most:.3f} |")


def questions(count: int) -> dict[str, Callable[[], object]]:
    torch.manual_seed(0)
    mixture, other = random_mixtures(count), random_mixtures(count)
    goal = torch.randn(count, 2, dtype=torch.float64)
    metrics: dict[str, Callable[[], object]] = {
        "log_prob": lambda: mixture.log_prob(goal),
        "probability_within": lambda: mixture.probability_within(goal, 0.7),
        "expected_distance": lambda: mixture.expected_distance(goal),
    }
    return metrics | {
        "all three: an evaluation": lambda: [metric() for metric in metrics.values()],
        "kl_divergence": lambda: mixture.kl_divergence(other),
        "kl_divergence, 64 samples": lambda: mixture.kl_divergence(other, samples=64),
        "entropy": lambda: mixture.entropy(),
        "mode": lambda: mixture.mode,
    }


def divergence_errors() -> dict[str, torch.Tensor]:
    """Of the divergence at each point of a grid, poked from unpoked, against dense quadrature."""
    picture = cv2.imread(str(PICTURE))
    if picture is None:
        raise FileNotFoundError(f"{PICTURE} cannot be read")
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)[:384, :384]
    predictor = Predictor.from_checkpoint("embedded", device="cpu")
    context = predictor.embed(picture)
    line = torch.arange(8.0, 384, 16)
    points = torch.cartesian_prod(line, line).numpy()
    poked = predictor.predict(context, [[200, 180, 40, 10]], points)
    unpoked = predictor.predict(context, [], points)
    densities = (mixture._log_density(1) for mixture in (poked, unpoked))
    exact = expected_log_ratio(poked.weights, EXACT_RINGS, *densities)
    sampled = poked.kl_divergence(unpoked, 64, torch.Generator().manual_seed(0))
    estimates = {"by quadrature": poked.kl_divergence(unpoked), "64 samples": sampled}
    return {name: (estimate - exact).abs() for name, estimate in estimates.items()}


def random_mixtures(count: int) -> MotionMixture:
    return mixture_from_head(torch.randn(count, COMPONENTS * 6), COMPONENTS, 1.0)


def best_time(answer: Callable[[], object], runs: int) -> float:
    """Seconds; the first run, which may keep things for the others, does not count."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        answer()
        times.append(time.perf_counter() - start)
    return min(times[1:])


if __name__ == "__main__":
    main()
