# SPDX-License-Identifier: Apache-2.0
"""Few tokens of a small transformer run on one thread, and what was set before comes back."""

import pytest
import torch

from fpt_ros.inference.threads import threads_for
from fpt_ros.model import ModelConfig, SmallModelConfig


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("config", "tokens", "threads"),
    [(SmallModelConfig(), 2, 1), (SmallModelConfig(), 1000, 3), (ModelConfig(), 2, 3)],
    ids=["few", "many", "wide"],
)
def test_threads(three_threads, config, tokens, threads):
    with pytest.raises(KeyError), threads_for(config, tokens):
        assert torch.get_num_threads() == threads
        raise KeyError
    assert torch.get_num_threads() == 3
