# SPDX-License-Identifier: Apache-2.0
"""Every way of attending gives the same."""

import pytest
import torch

from fpt_ros.model.attention import attend


@pytest.mark.parametrize("queries", [1, 5, 128, 300])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_attention_is_what_its_formula_says(queries, dtype):
    torch.manual_seed(0)
    # heads lie behind tokens, as a linear layer leaves them
    parts = (torch.randn(2, n, 3, 64, dtype=dtype) for n in (queries, 70, 70))
    q, keys, values = (part.transpose(1, 2) for part in parts)
    weights = (0.3 * q.double() @ keys.double().mT).softmax(-1)
    expected = (weights @ values.double()).to(dtype)
    tolerance = {torch.float32: 1e-5, torch.bfloat16: 0.05}[dtype]
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            got = attend(q, keys, values, 0.3)
        assert got.shape == (2, 3, queries, 64)
        torch.testing.assert_close(got, expected, atol=tolerance, rtol=0)


def test_gradients_in_bfloat16_are_those_in_float32():
    torch.manual_seed(0)
    parts = [torch.randn(2, 3, n, 64) for n in (300, 70, 70)]
    gradients = {}
    for dtype in (torch.float32, torch.bfloat16):
        q, keys, values = (part.to(dtype, copy=True).requires_grad_() for part in parts)
        attend(q, keys, values, 0.1).float().square().mean().backward()
        gradients[dtype] = torch.cat([x.grad.float().flatten() for x in (q, keys, values)])
    exact, got = gradients.values()
    assert (got - exact).norm() < 0.02 * exact.norm()
