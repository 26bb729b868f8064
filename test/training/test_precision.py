# SPDX-License-Identifier: Apache-2.0
"""Training is in bfloat16 where that is faster, and says nearly the same there."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from tiny import batches, tiny_recipe, tiny_trainer

from fpt_ros.training import precision

CPU = torch.device("cpu")


def test_a_cpu_without_bfloat16_trains_in_float32():
    """oneDNN, kept from the instructions for it: products then take several times as long."""
    code = "import torch; from fpt_ros.training.precision import bfloat16_pays as pays\n"
    code += "print(pays(torch.device('cpu')))"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    command = [sys.executable, "-c", code]
    assert subprocess.check_output(command, env=environment, text=True) == "False\n"


@pytest.mark.parametrize(("seconds", "pays"), [(0.4, True), (0.9, False), (2.0, False)])
def test_it_must_be_clearly_faster(monkeypatch, seconds, pays):
    times = {torch.float32: 1.0, torch.bfloat16: seconds}
    monkeypatch.setattr(precision, "_seconds", times.__getitem__)
    assert precision.bfloat16_pays.__wrapped__(CPU) == pays
    assert precision.bfloat16_pays.__wrapped__(torch.device("cuda"))


def test_losses_and_gradients_are_about_the_same(toy_data):
    recipe = tiny_recipe(pair_steps=0)
    (loaded, *_) = batches(recipe, toy_data / "train")
    found, gradients = [], []
    for bfloat16 in (False, True):
        trainer = tiny_trainer(recipe)
        trainer.loss.in_bfloat16 = bfloat16
        found.append(trainer.train_step(loaded))
        taught = [p.grad for p in trainer.model.transformer.parameters() if p.grad is not None]
        gradients.append(torch.cat([gradient.flatten() for gradient in taught]))
    for name in ("nll", "pair", "mode"):
        assert found[0][name] != found[1][name]
        assert found[0][name] == pytest.approx(found[1][name], rel=0.02, abs=0.02), name
    assert torch.cosine_similarity(*gradients, dim=0) > 0.99


def test_float32_if_the_recipe_says_so(monkeypatch):
    monkeypatch.setattr(precision, "_seconds", {torch.float32: 1.0, torch.bfloat16: 0.1}.get)
    precision.bfloat16_pays.cache_clear()
    assert tiny_trainer(tiny_recipe(bfloat16=True)).loss.in_bfloat16
    assert not tiny_trainer(tiny_recipe(bfloat16=False)).loss.in_bfloat16
    precision.bfloat16_pays.cache_clear()
