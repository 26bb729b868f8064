# SPDX-License-Identifier: Apache-2.0
"""What keeping, sharing and packing gains over the plain forward pass of the same network.

    python benchmarks/prediction.py [--rows query candidates] [--dtype bfloat16] [--compile]

Random weights of the released base size (times do not depend on their values), or a checkpoint.
The plain pass is `plain.py` in this folder, in float32. All ways of doing a thing run in turn, so
that they share whatever else the machine does; times are medians, differences are in sides of the
image.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from measuring import interleaved_times, peak_memory, read_weights
from plain import plain_forward
from tqdm import tqdm

from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import FlowPokeTransformer, ModelConfig, MotionMixture, load_checkpoint
from fpt_ros.model.checkpoint import DTYPES, resolve_device

ROWS = ("embed", "query", "candidates", "sample", "many", "memory")
CANDIDATES, POINTS = 64, 16
SAMPLED = 256
MANY, VERY_MANY = 4096, 65536


@dataclasses.dataclass
class Row:
    """A line of the table."""

    what: str
    plain: float
    """Seconds."""
    ours: float
    """Seconds."""
    wanted: str
    remark: str

    def __str__(self) -> str:
        ratio = f"{self.plain / self.ours:.1f}" if self.plain else ""
        plain = f"{1000 * self.plain:.1f}" if self.plain else ""
        ours = f"{1000 * self.ours:.1f}"
        return f"| {self.what} | {plain} | {ours} | {ratio} | {self.wanted} | {self.remark} |"


def main() -> None:
    arguments = parse_arguments()
    progress = tqdm(arguments.rows, leave=False)
    benchmark = Benchmark(arguments)
    rows = []
    for name in progress:
        progress.set_description(name)
        rows += getattr(benchmark, name)()
    model = benchmark.plain
    parameters = sum(parameter.numel() for parameter in model.parameters()) / 1e6
    device = torch.cuda.get_device_name() if model.device.type == "cuda" else "CPU"
    compiled = ", compiled" if arguments.compile else ""
    print(f"{model.config.encoder}, {parameters:.1f} M parameters; {device}{compiled},", end=" ")
    print(f"{torch.get_num_threads()} threads, PyTorch {torch.__version__}\n")
    print("| | plain, float32 [ms] | ours [ms] | ratio | wanted | |")
    print("| --- | --- | --- | --- | --- | --- |")
    print(*rows, sep="\n")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=ROWS)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=["float32", "bfloat16"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--checkpoint", help="instead of random weights, as `embedded`")
    parser.add_argument("--seconds", type=float, default=10, help="for each row, at least")
    return parser.parse_args()


def load_model(checkpoint: str | None, device: torch.device) -> FlowPokeTransformer:
    if checkpoint:
        return load_checkpoint(checkpoint, str(device), "float32", allow_download=True)
    torch.manual_seed(0)
    model = FlowPokeTransformer(ModelConfig())
    for layer in model.transformer.layers:  # as built, their outputs would be zero
        torch.nn.init.normal_(layer.self_out.weight, std=0.02)
        torch.nn.init.normal_(layer.ffn_down.weight, std=0.02)
    for block in model.image_embedder.model.blocks:  # as built, they would hardly count
        torch.nn.init.ones_(block.ls1.gamma)
        torch.nn.init.ones_(block.ls2.gamma)
    return model.to(device).eval()


class Benchmark:
    """The plain model, and ours in each number format."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.seconds = arguments.seconds
        self.plain = load_model(arguments.checkpoint, resolve_device(arguments.device))
        self.ours: dict[str, Predictor] = {}
        for dtype in arguments.dtype:
            model = copy.deepcopy(self.plain).to(DTYPES[dtype])
            self.ours[dtype] = Predictor(model, compile=arguments.compile, copy=False)
            self.ours[dtype].warm_up()
        rng = np.random.default_rng(0)
        image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
        self.contexts = {dtype: p.embed(image) for dtype, p in self.ours.items()}
        self.points = rng.uniform((80, 0), (559, 479), (VERY_MANY, 2))
        self.pokes = np.hstack([self.points[-CANDIDATES:], rng.normal(0, 20, (CANDIDATES, 2))])
        self.view = next(iter(self.contexts.values())).view
        pixels = torch.from_numpy(image).to(self.plain.device)
        self.square = self.view.square(pixels, self.plain.config.image_size)

    @torch.inference_mode()
    def embed(self) -> Iterator[Row]:
        """The encoder, and with it the transformer's keys and values of the image."""
        plain = self.plain
        ways: dict[str, Callable[[], object]] = {
            "plain": lambda: plain.embed_image(self.square),
            "plain encoder": lambda: plain.image_embedder(self.square),
        }
        for dtype, p in self.ours.items():
            ways[dtype] = lambda p=p: p.model.embed_image(self.square)
            ways[f"{dtype} encoder"] = lambda p=p: p.model.image_embedder(self.square)
        times = interleaved_times(ways, self.seconds)
        expected = plain.image_embedder(self.square).flatten()
        for dtype, p in self.ours.items():
            features = p.model.image_embedder(self.square).float().flatten()
            apart = (features - expected).abs().max().item()
            cosine = torch.cosine_similarity(features, expected, 0).item()
            remark = f"cosine {cosine:.5f}, largest difference {apart:.0e}"
            row = Row(f"embed an image, {dtype}", times["plain"], times[dtype], "1.7", remark)
            yield row
            alone = times["plain encoder"], times[f"{dtype} encoder"]
            yield Row(f"- its encoder alone, {dtype}", *alone, "1.7", "")

    def query(self) -> Iterator[Row]:
        """One poke, one query, and the time that reading the weights takes."""
        pokes, points = self.pokes[:1], self.points[:1]
        times = interleaved_times({"plain": lambda: self.forward(pokes, points)}, self.seconds / 2)
        ways: dict[str, Callable[[], object]] = {}
        for dtype, p in self.ours.items():
            ways[dtype] = lambda p=p, c=self.contexts[dtype]: p.predict(c, pokes, points)
            weights = copy.deepcopy(self.plain).to(DTYPES[dtype])  # ours are packed
            ways[f"read {dtype}"] = lambda weights=weights: read_weights(weights)
        times |= interleaved_times(ways, self.seconds / 2, turn=0)  # memory's speed varies
        for dtype in self.ours:
            ours, read = times[dtype], times[f"read {dtype}"]
            remark = self.difference(dtype, pokes, points)
            yield Row(f"1 poke, 1 query, {dtype}", times["plain"], ours, "10", remark)
            remark = f"the query takes {ours / read:.2f} x that, wanted: 2 x"
            yield Row(f"- read its weights once, {dtype}", 0, read, "", remark)

    def candidates(self) -> Iterator[Row]:
        """Candidates of one poke each, evaluated at some points in one call, or one by one."""
        pokes, points = self.pokes[:, None], self.points[:POINTS]
        goal = points, np.zeros_like(points), 5.0
        ways: dict[str, Callable[[], object]] = {"plain": lambda: self.forward(pokes[0], points)}
        for dtype, p in self.ours.items():
            c = self.contexts[dtype]
            ways[dtype] = lambda p=p, c=c: p.evaluate(c, list(pokes), *goal)
            ways[f"singly {dtype}"] = lambda p=p, c=c: [p.evaluate(c, [x], *goal) for x in pokes]
        times = interleaved_times(ways, self.seconds)
        plain = times["plain"] * CANDIDATES
        for dtype, p in self.ours.items():
            motions = p.evaluate(self.contexts[dtype], list(pokes), *goal).motions
            remark = self.difference(dtype, pokes[-1], points, motions[-1])
            what = f"{CANDIDATES} candidates x {POINTS} queries in one call, {dtype}"
            yield Row(what, plain, times[dtype], "12", remark)
            singly = times[f"singly {dtype}"]
            remark = f"one call takes 1/{singly / times[dtype]:.1f} of that"
            yield Row(f"- the same in {CANDIDATES} calls, {dtype}", plain, singly, "", remark)

    def sample(self) -> Iterator[Row]:
        """A joint sample: plain code runs everything again for each point, given those before."""
        pokes, points = self.pokes[:1], self.points[:SAMPLED]
        given = [np.repeat(self.pokes, n // CANDIDATES + 1, 0)[:n] for n in (1, SAMPLED)]
        ways: dict[str, Callable[[], object]] = {
            "plain": lambda: [self.forward(before, points[:1]) for before in given],
        }
        for dtype, p in self.ours.items():
            ways[dtype] = lambda p=p, c=self.contexts[dtype]: p.sample(c, pokes, points, seed=0)
        times = interleaved_times(ways, self.seconds)
        for dtype in self.ours:
            remark = self.difference_of_last_sample(dtype)
            what = f"sample {SAMPLED} points, a point, {dtype}"
            yield Row(what, times["plain"] / len(given), times[dtype] / SAMPLED, "12", remark)

    def many(self) -> Iterator[Row]:
        """Many queries in one call."""
        pokes, points = self.pokes[:1], self.points[:MANY]
        ways: dict[str, Callable[[], object]] = {"plain": lambda: self.forward(pokes, points)}
        for dtype, p in self.ours.items():
            ways[dtype] = lambda p=p, c=self.contexts[dtype]: p.predict(c, pokes, points)
        times = interleaved_times(ways, self.seconds)
        for dtype in self.ours:
            remark = self.difference(dtype, pokes, points)
            wanted = "1.3" if dtype == "float32" else "3"
            yield Row(f"{MANY} queries, {dtype}", times["plain"], times[dtype], wanted, remark)

    def memory(self) -> Iterator[Row]:
        """The process's peak at many queries and at very many, in the last of the formats."""
        dtype, p = list(self.ours.items())[-1]
        for n in (MANY, VERY_MANY):
            start = time.perf_counter()
            megabytes = peak_memory(
                lambda n=n: p.predict(self.contexts[dtype], self.pokes[:1], self.points[:n])
            )
            seconds = time.perf_counter() - start
            wanted = "flat" if n == VERY_MANY else ""
            yield Row(f"{n} queries, {dtype}", 0, seconds, wanted, f"{megabytes:.0f} MB more")

    def forward(self, pokes: np.ndarray, points: np.ndarray) -> MotionMixture:
        """The plain pass; pokes and points in pixels, the mixtures in sides of the image."""
        pos, flow = self.view.to_unit(pokes[:, :2]), self.view.flow_to_unit(pokes[:, 2:])
        inputs = [self.tensor(array) for array in (pos, flow, self.view.to_unit(points))]
        return plain_forward(self.plain, self.square, *inputs, camera_static=True).to("cpu")[0]

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array[None].astype(np.float32)).to(self.plain.device)

    def difference(
        self,
        dtype: str,
        pokes: np.ndarray,
        points: np.ndarray,
        ours: MotionMixture | None = None,
    ) -> str:
        """Of ours, by default a prediction, from the plain pass."""
        ours = ours or self.ours[dtype].predict(self.contexts[dtype], pokes, points)
        return said(ours.scaled(1 / torch.tensor(self.view.sides)), self.forward(pokes, points))

    @torch.inference_mode()
    def difference_of_last_sample(self, dtype: str, count: int = 32) -> str:
        """Where each point is "drawn" at its mean: the last one's distribution given the others."""
        mixtures: list[MotionMixture] = []
        pos, flow = (
            self.view.to_unit(self.pokes[:1, :2]),
            self.view.flow_to_unit(self.pokes[:1, 2:]),
        )
        query = self.view.to_unit(self.points[:count])

        def draw(mixture: MotionMixture) -> torch.Tensor:
            mixtures.append(mixture)
            return mixture.mean

        inputs = [self.tensor(array) for array in (pos, flow, query)]
        embedded = self.contexts[dtype].embedded
        flows = list(self.ours[dtype].model.sample_in_turn(*inputs, True, embedded, draw))
        all_pos = torch.cat([inputs[0], inputs[2][:, :-1]], 1)
        all_flow = torch.stack([inputs[1][:, 0], *flows[:-1]], 1)
        plain = plain_forward(self.plain, self.square, all_pos, all_flow, inputs[2][:, -1:], True)
        return said(mixtures[-1].to("cpu"), plain[:, 0].to("cpu"))


def said(ours: MotionMixture, plain: MotionMixture) -> str:
    names = ("logits", "locs", "scale_tril")
    apart = [(getattr(ours, name) - getattr(plain, name)).abs().max().item() for name in names]
    mean = (ours.mean - plain.mean).abs().max().item()
    return f"largest difference {max(apart):.0e}, of the mean {mean:.0e}"


if __name__ == "__main__":
    main()
