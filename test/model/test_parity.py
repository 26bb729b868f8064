# SPDX-License-Identifier: Apache-2.0
"""The network gives the published implementation's numbers (see fixtures/parity/README.md)."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from fpt_ros.model import FlowPokeTransformer, ModelConfig

FIXTURES = Path(__file__).parents[1] / "fixtures" / "parity"
CASES = json.loads((FIXTURES / "expected" / "cases.json").read_text())
spec = importlib.util.spec_from_file_location("parity", FIXTURES / "parity.py")
parity = importlib.util.module_from_spec(spec)
spec.loader.exec_module(parity)

_models = {}


def model_for(name: str) -> FlowPokeTransformer:
    """The case's network, every tensor filled from its name."""
    if name not in _models:
        config = CASES["configs"][name]
        embedder = config["img_embedder_params"]
        model = FlowPokeTransformer(
            ModelConfig(
                encoder=embedder["model_version"],
                image_size=embedder["image_size"],
                width=config["width"],
                depth=config["depth"],
            )
        )
        state = model.state_dict()
        for key, value in state.items():
            filled = parity.fill(key, tuple(value.shape))
            if filled is not None:
                value.copy_(torch.from_numpy(filled))
        _models[name] = model
    return _models[name]


def inputs_for(case: dict, pokes: int, queries: int):
    images = np.stack([parity.image(case["h"], case["w"], seed) for seed in case["image_seeds"]])
    images = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 127.5 - 1
    points = parity.points(len(images), pokes, queries, case["seed"])
    return images, {name: torch.from_numpy(value) for name, value in points.items()}


def expected_for(name: str) -> dict[str, np.ndarray]:
    with np.load(FIXTURES / "expected" / f"{name}.npz") as arrays:
        return dict(arrays)


def assert_close(got: torch.Tensor, expected: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(got.detach().numpy(), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("name", CASES["cases"])
@torch.no_grad()
def test_inference(name):
    case, expected = CASES["cases"][name], expected_for(name)
    model = model_for(case["config"])
    images, points = inputs_for(case, case["pokes"], case["queries"])
    embedded = model.embed_image(images)
    pokes = points["poke_pos"], points["poke_flow"]
    query_pos, query_flow = points["query_pos"], points["query_flow"]
    mixture = model.predict_parallel(*pokes, query_pos, case["static"], embedded)

    channels = embedded.features.shape[1]
    assert_close(embedded.features[:, :: channels // 8, ::4, ::4], expected["feat"], 2e-5)
    assert_close(embedded.features.mean((2, 3)), expected["feat_mean"], 2e-5)
    for field in ("logits", "locs", "scale_tril", "mean"):
        assert_close(getattr(mixture, field), expected[field], 2e-5)
    assert_close(mixture.log_prob(query_flow), expected["log_prob"], 1e-4)
    at = torch.tensor([[-0.1, -0.1], [0, 0], [0.05, -0.02], [0.2, 0.3]])
    assert_close(mixture[0, :1].cdf(at), expected["cdf"], 2e-5)
    for i in range(expected.get("sequential_log_prob", np.zeros((1, 0))).shape[1]):
        step = model.predict_parallel(
            torch.cat([pokes[0], query_pos[:, :i]], 1),
            torch.cat([pokes[1], query_flow[:, :i]], 1),
            query_pos[:, i : i + 1],
            case["static"],
            embedded,
        )
        log_prob = step.log_prob(query_flow[:, i : i + 1])[:, 0]
        assert_close(log_prob, expected["sequential_log_prob"][:, i], 1e-4)


@pytest.mark.parametrize("name", CASES["train"])
def test_training(name):
    case, expected = CASES["train"][name], expected_for(name)
    model = model_for(case["config"])
    pokes, per_prefix = case["pokes"], case["per_prefix"]
    images, points = inputs_for(case, pokes, pokes * per_prefix)
    queries = {
        key: points[key].unflatten(1, (pokes, per_prefix)) for key in ("query_pos", "query_flow")
    }
    static = torch.tensor(case["static"])
    pokes_given = points["poke_pos"], points["poke_flow"]

    model.zero_grad()
    loss = model.training_loss(images, *pokes_given, *queries.values(), static)
    loss.backward()
    assert loss.item() == pytest.approx(float(expected["loss"]), abs=1e-5)
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    norm = torch.stack([g.norm() for g in gradients.values()]).norm()
    assert norm.item() == pytest.approx(float(expected["grad_norm"]), rel=1e-3)
    for key, value in zip(expected["names"], expected["grad_norms"], strict=True):
        assert gradients[str(key)].norm().item() == pytest.approx(float(value), rel=1e-3), key

    with torch.no_grad():
        embedded = model.embed_image(images)
        mixture = model.query_causal(*pokes_given, queries["query_pos"], static, embedded)
        log_prob = mixture.log_prob(queries["query_flow"])[:, 0]
    assert_close(log_prob, expected["log_prob_prefix0"], 1e-4)
