# SPDX-License-Identifier: Apache-2.0
"""Packed layers give what plain ones give; a predictor owns the weights that it answers with."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from fpt_ros.inference.packed import PACKING_IS_AVAILABLE, PackedConv2d, PackedLinear
from fpt_ros.inference.packing import for_inference
from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import ModelConfig, SmallModelConfig, build_model
from fpt_ros.model.small.encoder import Conv2d, SameConv2d

CONFIGS = [
    SmallModelConfig(image_size=64, width=64, depth=1, modes=2),
    ModelConfig("dinov2_vits14_reg", image_size=56, width=64, depth=1),
]


def randomised(config: ModelConfig) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.02 * torch.randn_like(parameter)
    return model


def test_packing_is_there_with_the_torch_that_the_project_installs():
    assert PACKING_IS_AVAILABLE


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("width", [40, 4096], ids=["small", "large"])
@pytest.mark.parametrize("shape", [(96,), (1, 96), (3, 5, 96), (2, 700, 96), (0, 96)])
@torch.no_grad()
def test_results_are_equal(shape, width, bias):
    torch.manual_seed(0)
    layer, x = nn.Linear(96, width, bias=bias), torch.randn(shape)
    torch.testing.assert_close(PackedLinear(layer)(x), layer(x), atol=1e-5, rtol=0)


@torch.no_grad()
def test_bfloat16():
    layer, x = nn.Linear(96, 40).bfloat16(), torch.randn(4, 96, dtype=torch.bfloat16)
    torch.testing.assert_close(PackedLinear(layer)(x), layer(x), atol=0.02, rtol=0.02)


@pytest.mark.parametrize(
    "layer",
    [
        Conv2d(8, 16, 3), Conv2d(8, 16, 3, stride=2), Conv2d(8, 16, 3, padding=1, groups=8),
        SameConv2d(8, 16, 3, stride=2), SameConv2d(8, 8, 5, stride=2, groups=8),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("relu6", [True, False])
@torch.no_grad()
def test_convolutions_are_equal(layer, relu6):
    torch.manual_seed(0)
    x = 9 * torch.randn(2, 8, 22, 18)
    torch.testing.assert_close(PackedConv2d(layer)(x, relu6), layer(x, relu6), atol=1e-5, rtol=0)


def test_gradients_reach_the_input():
    torch.manual_seed(0)
    layer, x = nn.Linear(96, 40), torch.randn(3, 96, requires_grad=True)
    (got,) = torch.autograd.grad(PackedLinear(layer)(x).square().sum(), x)
    (wanted,) = torch.autograd.grad(layer(x).square().sum(), x)
    torch.testing.assert_close(got, wanted, atol=1e-4, rtol=0)


@pytest.mark.parametrize("config", CONFIGS, ids=["small", "published"])
def test_a_whole_model_is_packed_and_holds_no_second_weight(config):
    model = for_inference(randomised(config))
    layers = [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    assert [type(layer) for layer in layers] in ([], [nn.Conv2d])  # DINOv2 has a patch embedding
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("rows", [1, 40], ids=["few tokens", "many"])
@pytest.mark.parametrize("config", CONFIGS, ids=["small", "published"])
def test_answers_and_gradients_are_those_of_the_plain_network(config, rows):
    plain = randomised(config).eval().requires_grad_(False)
    packed = for_inference(copy.deepcopy(plain))
    generator = torch.Generator().manual_seed(0)
    positions, flows, queries = torch.rand(3, rows, 3, 2, generator=generator).unbind(0)
    images = torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1
    found = []
    for model in (plain, packed):
        poke = (0.1 * flows).requires_grad_()
        mixture = model.predict_parallel(positions, poke, queries, True, model.embed_image(images))
        (gradient,) = torch.autograd.grad(mixture.mean.square().sum(), poke)
        assert gradient.abs().max() > 1e-6
        found.append([mixture.logits, mixture.locs, mixture.scale_tril, gradient])
    for got, wanted in zip(*reversed(found), strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-5, rtol=1e-4)


def fused_step(model: nn.Module) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, fused=True)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizer.step()


def through_data(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.data.mul_(0.5)


def through_numpy(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.detach().numpy()[...] *= 0.5


@torch.no_grad()
def in_place(model: nn.Module) -> None:
    for parameter in model.parameters():
        parameter.mul_(0.5)


def by_state_dict(model: nn.Module) -> None:
    model.load_state_dict({name: 0.5 * value for name, value in model.state_dict().items()})


def assigned(model: nn.Module) -> None:
    state = {name: 0.5 * value for name, value in model.state_dict().items()}
    model.load_state_dict(state, assign=True)


def swapped(model: nn.Module) -> None:
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            setattr(module, name, nn.Parameter(0.5 * parameter.detach()))


@pytest.mark.parametrize("config", CONFIGS, ids=["small", "published"])
@pytest.mark.parametrize(
    "write",
    [fused_step, through_data, through_numpy, in_place, by_state_dict, assigned, swapped],
    ids=lambda function: function.__name__,
)
def test_answers_are_wholly_old_until_there_is_a_new_predictor(config, write):
    model = randomised(config)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)

    def ask(predictor: Predictor) -> torch.Tensor:
        return predictor.predict(predictor.embed(image), [[20, 20, 9, 4]], [[30, 40], [9, 9]]).locs

    predictor = Predictor(model)
    before = ask(predictor)
    write(model)
    assert torch.equal(ask(predictor), before)
    after = ask(Predictor(model))
    assert not torch.equal(after, before)
    torch.testing.assert_close(after, ask(Predictor(copy.deepcopy(model))), atol=0, rtol=0)


def test_a_predictor_of_a_predictors_model_answers_the_same():
    predictor = Predictor(randomised(CONFIGS[0]))
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    found = [
        p.predict(p.embed(image), [[20, 20, 9, 4]], [[30, 40]])
        for p in (predictor, Predictor(predictor.model))
    ]
    assert found[0] == found[1]


def test_making_a_predictor_leaves_the_model_to_its_trainer():
    model = randomised(CONFIGS[0]).train()
    names = [name for name, _ in model.named_parameters()]
    Predictor(model)
    assert model.training and names == [name for name, _ in model.named_parameters()]
    assert all(parameter.requires_grad for parameter in model.parameters())
