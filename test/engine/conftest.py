# SPDX-License-Identifier: Apache-2.0
"""A small engine for the tests of this folder."""

from __future__ import annotations

import pytest

from fpt_ros.engine.engine import Engine
from fpt_ros.engine.settings import Settings
from fpt_ros.engine.statistics import Statistics
from fpt_ros.inference.predictor import Predictor


@pytest.fixture(scope="session")
def predictor(tiny_checkpoint) -> Predictor:
    return Predictor.from_checkpoint(str(tiny_checkpoint), device="cpu", dtype="float32")


class Time:
    """A clock that stands still until it is set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def engine(predictor, clock) -> Engine:
    """Of 2 kept images and at most 1000 points."""
    return Engine(predictor, Settings(image_cache=2, max_queries=1000), Statistics(), clock)
