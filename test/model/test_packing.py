"""Packed layers give what plain ones give, and never a stale answer."""

import copy

import pytest
import torch
from torch import nn

from fpt_ros.model.packing import PACKING_IS_AVAILABLE, Conv2d, Linear, pack_weights


def packed_linear(dtype=torch.float32, bias=True) -> Linear:
    torch.manual_seed(0)
    layer = Linear(96, 40, bias=bias).to(dtype)
    layer.pack()
    return layer


def test_packing_is_there_with_the_torch_that_the_project_installs():
    assert PACKING_IS_AVAILABLE
    assert packed_linear()._packed is not None


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(96,), (1, 96), (3, 5, 96), (2, 700, 96), (0, 96)])
@torch.no_grad()
def test_results_are_equal(shape, bias):
    layer, x = packed_linear(bias=bias), torch.randn(shape)
    torch.testing.assert_close(
        layer(x), nn.functional.linear(x, layer.weight, layer.bias), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("packed", [True, False])
@torch.no_grad()
def test_a_sum_is_taken_with_the_product(packed):
    layer, x, y = packed_linear(), torch.randn(3, 5, 96), torch.randn(3, 5, 40)
    if not packed:
        layer.unpack()
    before = y.clone()
    torch.testing.assert_close(layer.plus(y, x), y + layer(x), atol=1e-5, rtol=0)
    assert torch.equal(y, before)


@pytest.mark.parametrize("options", [{}, {"stride": 2}, {"padding": 1, "groups": 8}])
@pytest.mark.parametrize("relu6", [True, False])
@torch.no_grad()
def test_convolutions_are_equal(options, relu6):
    torch.manual_seed(0)
    layer, x = Conv2d(8, 16, 3, **options), 9 * torch.randn(2, 8, 21, 17)
    expected = layer(x, relu6)
    layer.pack()
    assert layer._packed is not None
    torch.testing.assert_close(layer(x, relu6), expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(layer(x, True), nn.functional.relu6(layer(x)), atol=0, rtol=0)
    layer.weight.zero_()
    assert torch.equal(layer(x)[0, :, 0, 0], layer.bias)  # the changed weight counts


@pytest.mark.parametrize(
    "kernel, options, product",
    [(1, {}, True), (1, {"stride": 2}, False), (3, {"padding": 1, "groups": 8}, False)],
)
def test_in_autocast_a_convolution_that_is_a_product_alone_is_in_bfloat16(kernel, options, product):
    torch.manual_seed(0)
    layer, x = Conv2d(8, 16, kernel, **options), torch.randn(2, 8, 21, 17)
    exact = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        got = layer(x)
        from_bfloat16 = layer(x.bfloat16())
    assert got.dtype == from_bfloat16.dtype == (torch.bfloat16 if product else torch.float32)
    assert got.shape == from_bfloat16.shape == exact.shape
    tolerance = 0.02 if product else 0.0
    torch.testing.assert_close(got.float(), exact, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(from_bfloat16.float(), exact, atol=0.03, rtol=0.03)
    gradients = []
    for output in (exact, got.float()):
        (gradient,) = torch.autograd.grad(output.square().sum(), layer.weight)
        gradients.append(gradient)
    torch.testing.assert_close(gradients[1], gradients[0], atol=0, rtol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        all_bfloat16 = layer.bfloat16()(x)
    torch.testing.assert_close(all_bfloat16.float(), exact, atol=0.03, rtol=0.03)


@torch.no_grad()
def test_bfloat16_and_mixed_types():
    layer, x = packed_linear(torch.bfloat16), torch.randn(4, 96, dtype=torch.bfloat16)
    expected = nn.functional.linear(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected, atol=0.02, rtol=0.02)
    with pytest.raises(RuntimeError):
        layer(x.float())


def test_changed_weights_count_at_once():
    layer, x = packed_linear(), torch.randn(4, 96)
    with torch.no_grad():
        layer.weight.mul_(2)
        expected = nn.functional.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(x), expected)
        layer.load_state_dict(Linear(96, 40).state_dict(), assign=True)
        expected = nn.functional.linear(x, layer.weight, layer.bias)
        torch.testing.assert_close(layer(x), expected)


def test_gradients_flow_and_copies_and_casts_work():
    layer, x = packed_linear(), torch.randn(4, 96)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert set(layer.state_dict()) == {"weight", "bias"}
    with torch.no_grad():
        torch.testing.assert_close(copy.deepcopy(layer)(x), layer(x))
        expected = nn.functional.linear(x.double(), layer.weight.double(), layer.bias.double())
        torch.testing.assert_close(layer.double()(x.double()), expected)


@torch.no_grad()
def test_a_whole_model_is_packed():
    model = nn.Sequential(Linear(8, 8), nn.ReLU(), nn.Sequential(Linear(8, 8)))
    x = torch.randn(2, 8)
    before = model(x)
    pack_weights(model)
    assert all(m._packed is not None for m in model.modules() if isinstance(m, Linear))
    torch.testing.assert_close(model(x), before)
