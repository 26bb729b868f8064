"""Time of an image's embedding and of predictions on it, against recomputing everything.

    python benchmarks/prediction.py [--device cuda] [--dtype bfloat16] [--encoder dinov2_vits14_reg]

Random weights of the base size: times do not depend on their values. The plain forward pass runs
the encoder, the image's keys and values and the queries in one go, as code without a cache must,
and its linear layers are PyTorch's own, not packed; its answers are those that the cached ones are
held against.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from tqdm import tqdm

from fpt_ros.model import FlowPokeTransformer, ModelConfig, MotionMixture
from fpt_ros.model.checkpoint import resolve_device, resolve_dtype
from fpt_ros.model.linear import Linear
from fpt_ros.predictor import Predictor

QUERIES = (1, 64, 1024)


def main() -> None:
    arguments = parse_arguments()
    torch.manual_seed(0)
    device = resolve_device(arguments.device)
    model = FlowPokeTransformer(ModelConfig(encoder=arguments.encoder))
    for layer in model.transformer.layers:  # as built, their outputs would be zero
        torch.nn.init.normal_(layer.self_out.weight, std=0.02)
        torch.nn.init.normal_(layer.ffn_down.weight, std=0.02)
    model = model.to(device, resolve_dtype(arguments.dtype, arguments.device))
    predictor, plain_predictor = Predictor(model), Predictor(copy.deepcopy(model))
    for module in plain_predictor.model.modules():
        if isinstance(module, Linear):
            module.unpack()

    rng, runs = np.random.default_rng(0), arguments.runs
    image = rng.integers(0, 256, (480, 640, 3), dtype=np.uint8)
    poke = np.array([[300.0, 200.0, 20.0, -10.0]])
    points = {n: rng.uniform((80, 0), (559, 479), (n, 2)) for n in QUERIES}
    predictor.warm_up()
    context = predictor.embed(image)

    def plain(n: int) -> MotionMixture:
        return plain_predictor.predict(plain_predictor.embed(image), poke, points[n])

    progress = tqdm(total=2 + 3 * len(QUERIES), unit="figure", leave=False)
    rows = [("read the transformer's weights once", read_weights(model, runs))]
    progress.update()
    rows.append(("embed an image", median_time(lambda: predictor.embed(image), runs)))
    progress.update()
    for n in QUERIES:
        cached = median_time(lambda n=n: predictor.predict(context, poke, points[n]), runs)
        progress.update()
        whole = median_time(lambda n=n: plain(n), max(1, runs // 3))
        progress.update()
        apart = (predictor.predict(context, poke, points[n]).locs - plain(n).locs).abs().max()
        side = context.view.sides[0]
        rows.append((f"1 poke, {n} queries, embedded image", cached))
        rows.append((f"1 poke, {n} queries, plain forward pass", whole))
        rows.append((f"  ratio {whole / cached:.1f}; largest difference {apart / side:.0e}", None))
        progress.update()
    progress.close()

    info = predictor.info
    print(f"{arguments.encoder}, {info.parameters / 1e6:.1f} M parameters, random weights")
    print(f"{info.device}, {info.dtype}, {torch.get_num_threads()} threads")
    for name, seconds in rows:
        print(f"{name:50}" + ("" if seconds is None else f"{1000 * seconds:9.1f} ms"))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--encoder", default="dinov2_vitb14_reg")
    parser.add_argument("--runs", type=int, default=15, help="runs behind each median")
    return parser.parse_args()


def median_time(work: Callable[[], object], runs: int) -> float:
    """Seconds; the predictor's answers come on the CPU, so the device is done when it returns."""
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def read_weights(model: FlowPokeTransformer, runs: int) -> float:
    """The lower bound for one query: memory bandwidth."""
    parts = (model.transformer, model.input_mlp, model.out_mlp)
    weights = [p for part in parts for name, p in part.named_parameters() if "cross_" not in name]
    weights += [p for name, p in model.transformer.named_parameters() if "cross_q." in name]
    with torch.inference_mode():
        return median_time(lambda: [w.sum() for w in weights], runs)


if __name__ == "__main__":
    main()
