# SPDX-License-Identifier: Apache-2.0
"""A tiny model with random weights, and the embedded one."""

from __future__ import annotations

import numpy as np
import pytest
from tiny_models import GUESSING, TINY, random_model

from fpt_ros import Predictor
from fpt_ros.inference.context import ImageContext
from fpt_ros.model import FlowPokeTransformer


@pytest.fixture(scope="session")
def model() -> FlowPokeTransformer:
    return random_model(TINY)


@pytest.fixture(scope="session")
def predictor(model: FlowPokeTransformer) -> Predictor:
    return Predictor(model)


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (480, 640, 3), np.uint8)


@pytest.fixture(scope="session")
def context(predictor: Predictor, image: np.ndarray) -> ImageContext:
    return predictor.embed(image)


@pytest.fixture(scope="session")
def guessing() -> Predictor:
    """A small model with modes, whose guess looks at every pair of a query and a poke."""
    return Predictor(random_model(GUESSING))


@pytest.fixture(scope="session")
def embedded() -> Predictor:
    return Predictor.from_checkpoint("embedded", device="cpu")
