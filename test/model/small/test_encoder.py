# SPDX-License-Identifier: Apache-2.0
"""The small encoder against the architecture package that its pretrained weights come from."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from fpt_ros.model import ModelConfig, SmallModelConfig
from fpt_ros.model.small.encoder import (
    AttentionBlock,
    EfficientNetLite0Encoder,
    EfficientNetLite0Trunk,
)
from fpt_ros.training.warm_start import imagenet_weights, warm_start

# The reference numbers its blocks through; these are the last ones at strides 4, 8, 16 and 32.
LAST_BLOCKS = (2, 4, 10, 15)


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_folded_trunk_gives_the_reference_features(images):
    reference_package = pytest.importorskip("efficientnet_lite_pytorch")
    reference = reference_package.EfficientNet.from_name(
        "efficientnet-lite0", image_size=images.shape[-1]
    )
    reference.load_state_dict(imagenet_weights())
    reference.eval()
    found = {}
    for index in LAST_BLOCKS:
        reference._blocks[index].register_forward_hook(
            lambda _module, _inputs, output, index=index: found.__setitem__(index, output)
        )
    trunk = EfficientNetLite0Trunk()
    warm_start(trunk)
    with torch.no_grad():
        reference.extract_features(images)
        pyramid = trunk(images)
    for index, level in zip(LAST_BLOCKS, pyramid, strict=True):
        expected = found[index]
        assert level.shape == expected.shape
        torch.testing.assert_close(level, expected, rtol=1e-3, atol=1e-4 * expected.abs().max())


def test_map_has_the_documented_shape_and_finite_gradients(images):
    torch.manual_seed(0)
    encoder = EfficientNetLite0Encoder(SmallModelConfig(image_size=160))
    features = encoder(images)
    assert features.shape == (2, encoder.channels, 20, 20)
    features.square().mean().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


@torch.no_grad()
def test_cells_look_up_the_means_of_squares_of_cells():
    """Against pooling as a picture's, and attention written out."""
    torch.manual_seed(0)
    block, x = AttentionBlock(8, heads=2, pooling=2, norm_eps=1e-5), torch.randn(3, 36, 8)
    query, key, value = block.qkv(block.attention_norm(x)).chunk(3, -1)
    key, value = (
        F.avg_pool2d(part.mT.unflatten(-1, (6, 6)), 2).flatten(2).mT for part in (key, value)
    )
    heads = []
    for q, k, v in zip(*(part.chunk(2, -1) for part in (query, key, value)), strict=True):
        heads.append((q @ k.mT / 2).softmax(-1) @ v)
    attended = x + block.out(torch.cat(heads, -1))
    expected = attended + block.mlp_down(F.gelu(block.mlp_up(block.mlp_norm(attended))))
    torch.testing.assert_close(block(x), expected)


def test_the_map_follows_the_picture(images):
    """Two different pictures give different maps everywhere, the same picture the same map."""
    encoder = EfficientNetLite0Encoder(SmallModelConfig(image_size=160)).eval()
    warm_start(encoder.trunk)
    with torch.no_grad():
        first, second, again = encoder(torch.cat([images, images[:1]]))
    assert (first - second).abs().amax(dim=0).min() > 1e-3
    torch.testing.assert_close(first, again)


@pytest.mark.parametrize("size", [72, 100, 161])
def test_a_size_that_the_strides_do_not_divide_is_refused(size):
    with pytest.raises(ValueError, match=f"image_size is {size}: must be a multiple of 32"):
        ModelConfig("efficientnet_lite0", image_size=size)
