# SPDX-License-Identifier: Apache-2.0
"""A request asks the device for nothing before its answer: the host never waits in between."""

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from fpt_ros.inference.predictor import Predictor
from fpt_ros.model import FlowPokeTransformer, ModelConfig

WAITING = {"item", "_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "equal"}
ENCODERS = {"dinov2_vits14_reg": 56, "efficientnet_lite0": 64}


class RefuseToWait(TorchDispatchMode):
    """Fails where an operation would make the host wait for a device, even if there is none."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if name in WAITING:
            raise AssertionError(f"{name} waits for the device")
        return func(*args, **(kwargs or {}))


def small_model(encoder: str) -> FlowPokeTransformer:
    torch.manual_seed(0)
    return FlowPokeTransformer(ModelConfig(encoder, ENCODERS[encoder], width=128, depth=2)).eval()


def request(model: FlowPokeTransformer) -> None:
    """An image, then many candidates, one query, and points sampled in turn."""
    device = model.device
    size = model.config.image_size
    embedded = model.embed_image(torch.zeros(1, 3, size + 8, size, device=device))
    points = torch.rand(3, 4, 2, device=device)
    static = torch.tensor([True, False, True], device=device)
    model.predict_parallel(points, points, points, static, embedded)
    model.predict_parallel(points[:1, :1], points[:1, :1], points[:1, :1], True, embedded)
    flows = model.sample_in_turn(points, points, points, True, embedded, lambda m: m.mean)
    assert len(list(flows)) == 4


@pytest.mark.parametrize("encoder", ENCODERS)
@torch.inference_mode()
def test_no_operation_of_a_request_waits(encoder):
    model = small_model(encoder)
    with RefuseToWait():
        request(model)
        with pytest.raises(AssertionError, match="waits"):
            torch.ones(2).sum().item()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("encoder", ENCODERS)
@torch.inference_mode()
def test_cuda_itself_sees_no_wait(encoder):
    model = small_model(encoder).to("cuda", torch.bfloat16)
    request(model)  # what runs only the first time
    torch.cuda.set_sync_debug_mode("error")
    try:
        request(model)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_an_image_compiled_on_cuda_is_kept_when_the_next_one_comes():
    model = small_model("dinov2_vits14_reg").to("cuda")
    expected, predictor = Predictor(model), Predictor(model, compile=True)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (56, 56, 3), np.uint8) for _ in range(4)]
    contexts = [predictor.embed(image) for image in images]
    for image, context in zip(images, contexts, strict=True):
        wanted = expected.embed(image).embedded.features
        torch.testing.assert_close(context.embedded.features, wanted, atol=1e-3, rtol=0)
