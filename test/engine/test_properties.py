# SPDX-License-Identifier: Apache-2.0
"""Whatever is asked or set: an answer of the right form, or an error that says what is allowed."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
from engine_harness import frame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fpt_ros.engine.engine import Engine
from fpt_ros.engine.errors import ErrorCode, RequestError
from fpt_ros.engine.questions import read_candidates, read_goals, read_points, read_pokes
from fpt_ros.engine.settings import FIELDS, Settings, problem
from fpt_ros.engine.statistics import Statistics
from fpt_ros.inference.steps import finish

QUICK = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LIMITS = Settings(image_cache=2, max_queries=8, max_candidates=3, grid=(3, 2))

any_number = st.floats(width=32)
on_image = st.floats(0, 60, width=32)
number = on_image | any_number
poke = st.builds(SimpleNamespace, x=number, y=number, dx=number, dy=number)
pokes = st.lists(poke, max_size=3)
points = st.lists(number, max_size=10)
stamps = st.sampled_from([(0, 0), (5, 0), (6, 1), (-1, 0)])


@pytest.fixture(scope="module")
def engine(predictor) -> Engine:
    engine = Engine(predictor, LIMITS, Statistics(), lambda: 0.0)
    engine.frames.add(frame(5))
    return engine


def answer(ask):
    """What is answered; None where it is refused in the right way."""
    try:
        return finish(ask())
    except RequestError as error:
        assert error.code in ErrorCode and error.code not in (ErrorCode.NONE, ErrorCode.BUSY)
        assert len(str(error)) > 15
        return None


@QUICK
@given(stamps, pokes, points, st.data(), st.booleans())
def test_predictions(engine, stamp, pokes, x, data, camera_moving):
    y = data.draw(points | st.just(x))

    def ask():
        rows = read_points(x, y, LIMITS.max_queries)
        return engine.predict(stamp, read_pokes(pokes), rows, camera_moving)

    motion = answer(ask)
    if motion is not None:
        n = len(x) or 6  # of the grid
        assert motion.means.shape == (n, 4, 2) and motion.pokes.shape == (len(pokes), 4)
        np.testing.assert_allclose(motion.weights.sum(1), 1, atol=1e-4)
        assert np.isfinite(motion.means).all() and np.isfinite(motion.covariances).all()
        xx, xy, yy = motion.covariances[..., (0, 0, 1), (0, 1, 1)].T.astype(float)
        assert (xx > 0).all() and (yy > 0).all() and (xx * yy - xy * xy > -1e-3 * xx * yy).all()


@QUICK
@given(stamps, st.lists(pokes, max_size=4), st.lists(on_image, max_size=4), number, st.data())
def test_evaluations(engine, stamp, candidates, x, tolerance, data):
    dx = data.draw(st.lists(number, min_size=len(x), max_size=len(x)) | points)
    with_pokes = [SimpleNamespace(pokes=pokes) for pokes in candidates]

    def ask():
        return engine.evaluate(
            stamp,
            read_candidates(with_pokes, LIMITS.max_candidates),
            read_points(x, x, LIMITS.max_queries),
            read_goals(dx, dx, len(x)),
            tolerance,
            camera_moving=False,
            return_motions=True,
        )

    found = answer(ask)
    if found is not None:
        evaluation, motions = found
        shape = (len(candidates), len(x))
        for values in (evaluation.probability, evaluation.expected_error):
            assert values.shape == shape and not np.isnan(values).any()
        assert ((evaluation.probability >= 0) & (evaluation.probability <= 1)).all()
        assert 0 <= evaluation.best < len(motions) == len(candidates)


@QUICK
@given(stamps, pokes, points, st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1))
def test_samples(engine, stamp, pokes, x, samples, seed):
    def ask():
        rows = read_points(x, x, LIMITS.max_queries)
        return engine.sample(
            stamp, read_pokes(pokes), rows, samples % 200, seed, False, lambda *_: None
        )

    found = answer(ask)
    if found is not None:
        assert found.displacements.shape == (samples % 200, len(x) or 6, 2)
        assert np.isfinite(found.displacements).all()


def values_of(field):
    if field.metadata["choices"]:
        return st.sampled_from(field.metadata["choices"]) | st.text(max_size=3)
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if isinstance(field.default, tuple):
        return st.lists(st.integers(low - 3, high + 3), max_size=3).map(tuple)
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, str):
        return st.text(max_size=3)
    kind = st.integers if isinstance(field.default, int) else st.floats
    return kind(low, high)


@QUICK
@given(st.fixed_dictionaries({}, optional={n: values_of(f) for n, f in FIELDS.items()}))
def test_parameter_sets(engine, changes):
    """Each is refused by name, or the node works with it."""
    chosen = dataclasses.replace(Settings(), **changes)
    reason = problem(chosen)
    if reason:
        assert reason.split()[0] in FIELDS
        return
    chosen = dataclasses.replace(chosen, max_image_age=0.0, grid=min(chosen.grid, (4, 4)))
    engine.apply(chosen)
    motion = answer(lambda: engine.predict((0, 0), read_pokes([]), np.zeros((0, 2)), False))
    engine.apply(LIMITS)
    assert motion.grid == chosen.grid and motion.horizon == (chosen.horizon or 0.5)
