# SPDX-License-Identifier: Apache-2.0
"""Predictions on a CUDA device, beside a plain forward pass in bfloat16 and compiled.

    python benchmarks/gpu.py [--seconds 5]
    python benchmarks/gpu.py --device cpu     tiny models on the CPU: whether this file works

Two tables: the released base size with random weights (times do not depend on their values), and
the embedded weights. The plain pass is `plain.py` in this folder, through `torch.compile` at the
sizes asked: a fair rival, not an eager one in float32. Times are medians, up to the answer on the
host. Without a CUDA device this ends with status 1.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from measuring import interleaved_times
from plain import plain_forward
from prediction import load_model

from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import FlowPokeTransformer, ModelConfig, SmallModelConfig, build_model


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What is asked."""

    candidates: int = 64
    points: int = 16
    many: int = 65536
    sampled: int = 256


TINY = Sizes(candidates=3, points=2, many=20, sampled=3)


def main() -> None:
    arguments = parse_arguments()
    on_cuda = arguments.device == "cuda"
    if on_cuda and not torch.cuda.is_available():
        sys.exit("no CUDA device here: run this where there is one, or try it with --device cpu")
    device = torch.device(arguments.device)
    print(
        f"{torch.cuda.get_device_name() if on_cuda else 'CPU, tiny models: no figures'}, ", end=""
    )
    print(f"PyTorch {torch.__version__}, bfloat16\n")
    for name, model in models(device).items():
        benchmark = Benchmark(model, on_cuda, arguments.seconds)
        print(f"{name}\n\n| | plain, compiled [ms] | ours [ms] | ratio | wanted | |")
        print("| --- | --- | --- | --- | --- | --- |")
        for row in (benchmark.embed, benchmark.query, benchmark.planning, benchmark.many):
            print(row(), flush=True)
        print(f"{benchmark.sample()}\n", flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=float, default=5, help="for each row, at least")
    return parser.parse_args()


def models(device: torch.device) -> dict[str, FlowPokeTransformer]:
    """In bfloat16; tiny ones on the CPU."""
    if device.type == "cuda":
        found = {
            "The base size, random weights:": load_model(None, device),
            "The embedded weights:": load_model("embedded", device),
        }
    else:
        base = ModelConfig("dinov2_vits14_reg", image_size=28, width=64, depth=1)
        small = SmallModelConfig(image_size=32, width=64, depth=1, pooling=1)
        found = {"Tiny, published:": build_model(base), "Tiny, small:": build_model(small)}
    return {name: model.to(torch.bfloat16).eval() for name, model in found.items()}


class Benchmark:
    """A model as it is, compiled, and ours."""

    def __init__(self, model: FlowPokeTransformer, on_cuda: bool, seconds: float) -> None:
        self.seconds, self.sizes = seconds, Sizes() if on_cuda else TINY
        self.ours = Predictor(copy.deepcopy(model), compile=on_cuda)
        self.device, side = model.device, model.config.image_size
        rng = np.random.default_rng(0)
        self.image = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
        self.context = self.ours.embed(self.image)
        self.points = rng.uniform(0, side - 1, (self.sizes.many, 2))
        shifts = rng.normal(0, side / 20, (self.sizes.candidates, 2))
        self.pokes = np.hstack([rng.uniform(0, side - 1, shifts.shape), shifts])
        self.square = (torch.rand(1, 3, side, side, device=self.device) * 2 - 1).to(model.dtype)
        # With CUDA graphs, anew for each of the few sizes; not on the CPU, where it takes long.
        compiler: dict[str, Any] = {"mode": "reduce-overhead", "dynamic": False}
        self.embed_plainly = torch.compile(model.embed_image, **compiler, disable=not on_cuda)
        self.forward = torch.compile(plain_forward, **compiler, disable=not on_cuda)
        self.model = model

    def embed(self) -> str:
        """From pixels on the host to what is kept on the device."""
        ways: dict[str, Callable[[], object]] = {
            "plain": torch.inference_mode()(lambda: self.embed_plainly(self.square)),
            "ours": lambda: self.ours.embed(self.image),
        }
        return self.row("embed an image", ways, "under 5 ms")

    def query(self) -> str:
        """The plain pass runs the encoder each time."""
        ways: dict[str, Callable[[], object]] = {
            "plain": self.plain(1, 1, 1),
            "ours": lambda: self.ours.predict(self.context, self.pokes[:1], self.points[:1]),
        }
        return self.row("1 poke, 1 query", ways, "")

    def planning(self) -> str:
        """All candidates in one call, with the probabilities of their goals; plainly, one batch."""
        points, sets = self.points[: self.sizes.points], list(self.pokes[:, None])
        goals = points, np.zeros_like(points), 5.0
        ways: dict[str, Callable[[], object]] = {
            "plain": self.plain(self.sizes.candidates, 1, len(points)),
            "ours": lambda: self.ours.evaluate(self.context, sets, *goals, return_motions=False),
        }
        what = f"{len(sets)} candidates x {len(points)} points with their probabilities"
        return self.row(what, ways, "under 3 ms", "plain: mixtures alone")

    def many(self) -> str:
        """Queries of one call; the dense mask of the plain pass allows only some at once."""
        some = min(4096, self.sizes.many)
        ways = {
            "plain": self.plain(1, 1, some),
            "ours": lambda: self.ours.predict(self.context, self.pokes[:1], self.points),
        }
        times = interleaved_times(ways, self.seconds)
        plain = times["plain"] * self.sizes.many / some
        rate = f"{self.sizes.many / times['ours']:,.0f} queries a second"
        what, wanted = f"{self.sizes.many} queries", "300,000 a second"
        return line(what, plain, times["ours"], wanted, f"{rate}; plain: of {some}, scaled")

    def sample(self) -> str:
        """A joint sample; the plain pass runs anew for each point, here at half of the points."""
        count, points = self.sizes.sampled, self.points[: self.sizes.sampled]
        ways = {
            "plain": self.plain(1, 1 + count // 2, 1),
            "ours": lambda: self.ours.sample(self.context, self.pokes[:1], points, seed=0),
        }
        times = interleaved_times(ways, self.seconds)
        remark = "plain: a point in the middle, times their number"
        what = f"sample {count} points"
        return line(what, times["plain"] * count, times["ours"], "under 0.3 s", remark)

    def plain(self, rows: int, pokes: int, queries: int) -> Callable[[], object]:
        """The plain pass on random inputs of these sizes, up to the mixtures on the host."""
        sizes = (pokes, pokes, queries)
        pos, flow, query = (torch.rand(rows, size, 2, device=self.device) for size in sizes)

        def run() -> object:
            torch.compiler.cudagraph_mark_step_begin()
            return self.forward(self.model, self.square, pos, flow, query, True).to("cpu")

        return run

    def row(
        self, what: str, ways: dict[str, Callable[[], object]], wanted: str, remark: str = ""
    ) -> str:
        times = interleaved_times(ways, self.seconds)
        return line(what, times["plain"], times["ours"], wanted, remark)


def line(what: str, plain: float, ours: float, wanted: str, remark: str) -> str:
    """Of the table; times in seconds."""
    ratio = f"{plain / ours:.1f}"
    return f"| {what} | {1000 * plain:.2f} | {1000 * ours:.2f} | {ratio} | {wanted} | {remark} |"


if __name__ == "__main__":
    main()
