# SPDX-License-Identifier: Apache-2.0
"""The mathematics in JavaScript beside the library's, on the same mixtures."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from playwright.sync_api import Browser

from fpt_ros.inference.view import View
from fpt_ros.model import MotionMixture
from fpt_ros.web.messages import STATIC

POINTS, COMPONENTS = 40, 4
RADII = [0.01, 1, 8, 1000]


@pytest.fixture(scope="module")
def run(browser: Browser) -> Iterator[Callable[..., Any]]:
    """Runs JavaScript that imports the page's modules; `given` are the arguments."""
    page = browser.new_page()
    page.route("http://page/*", lambda route: route.fulfill(body="", content_type="text/html"))
    page.route(
        "http://page/**/*.js",
        lambda route: route.fulfill(path=STATIC / route.request.url.removeprefix("http://page/")),
    )
    page.goto("http://page/")
    yield lambda script, *given: page.evaluate(f"async (given) => {{ {script} }}", given)
    page.close()


@pytest.fixture(scope="module", params=["like the model's", "narrow ones far apart"])
def mixtures(request) -> MotionMixture:
    generator = torch.Generator().manual_seed(2)
    wide = request.param == "like the model's"

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    logits = (2 * normal(POINTS, COMPONENTS)).log_softmax(-1)
    diagonal = (normal(POINTS, COMPONENTS, 2) + (1 if wide else -1)).exp()
    below = 2 * normal(POINTS, COMPONENTS) * diagonal[..., 0]
    zero = torch.zeros_like(below)
    tril = torch.stack([diagonal[..., 0], zero, below, diagonal[..., 1]], -1)
    locs = normal(POINTS, COMPONENTS, 2) * (10 if wide else 40)
    return MotionMixture(logits, locs, tril.unflatten(-1, (2, 2)))


@pytest.fixture(scope="module")
def in_script(mixtures) -> list[dict]:
    """The mixtures as mixture.js has them."""
    covariances = mixtures.covariances
    packed = torch.stack([covariances[..., i, j] for i, j in ((0, 0), (0, 1), (1, 1))], -1)
    tensors = mixtures.weights, mixtures.locs, packed
    names = "weights", "means", "covariances"
    each = zip(*(tensor.tolist() for tensor in tensors), strict=True)
    return [dict(zip(names, one, strict=True)) for one in each]


def test_means_densities_and_probabilities(run, mixtures, in_script):
    places = mixtures.mean + 3
    found = run(
        """const { mean, densityGrid } = await import('/mixture.js');
        const { probabilityWithin, logDensity } = await import('/tab/integrals.js');
        const [mixtures, places, radii] = given;
        return mixtures.map((mixture, i) => {
          const [x, y] = places[i];
          const grid = { left: x - 1, top: y - 3, cell: 2, columns: 1, rows: 2 };
          return { mean: mean(mixture), grid: [...densityGrid(mixture, grid)],
            log: logDensity(mixture)(x, y),
            far: logDensity(mixture)(1e4, 0),
            within: radii.map((radius) => probabilityWithin(mixture, places[i], radius)) };
        });""",
        in_script,
        places.tolist(),
        RADII,
    )

    def column(name: str) -> np.ndarray:
        return np.array([one[name] for one in found])

    log = mixtures.log_prob(places)
    np.testing.assert_allclose(column("mean"), mixtures.mean, atol=1e-9)
    np.testing.assert_allclose(column("log"), log, rtol=1e-8)
    above = mixtures.log_prob(places - torch.tensor([0.0, 2.0])).exp()
    np.testing.assert_allclose(
        column("grid"), torch.stack([above, log.exp()], 1), rtol=1e-5, atol=1e-30
    )
    far = mixtures.log_prob(torch.tensor([1e4, 0.0]).double())
    np.testing.assert_allclose(column("far"), far, rtol=1e-8)
    assert (far < math.log(5e-324)).all()  # where a sum of densities would be 0
    within = [mixtures.probability_within(places, radius) for radius in RADII]
    np.testing.assert_allclose(column("within"), torch.stack(within, 1), atol=1e-5)


def test_the_librarys_mode_is_among_the_modes(run, mixtures, in_script):
    found = run(
        "const { modes } = await import('/mixture.js'); return given[0].map(modes);", in_script
    )
    for modes, mixture in zip(found, mixtures, strict=True):
        at = torch.tensor([mode["at"] for mode in modes], dtype=torch.float64)
        density = mixture.log_prob(at)
        highest = at[density.argmax()]
        assert mixture.log_prob(highest) == pytest.approx(
            float(mixture.log_prob(mixture.mode)), abs=1e-3
        )
        probabilities = [mode["probability"] for mode in modes]
        assert sum(probabilities) == pytest.approx(1)
        assert probabilities == sorted(probabilities, reverse=True)


def test_divergence_is_the_librarys(run, mixtures, in_script):
    found = run(
        """const { divergence } = await import('/tab/integrals.js');
        return given[0].map((mixture, i) => divergence(mixture, given[0].at(i - 1)));""",
        in_script,
    )
    wanted = [mixtures[i].kl_divergence(mixtures[i - 1]) for i in range(POINTS)]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_draws_have_the_mixtures_moments_and_a_seed_repeats_them(run, mixtures, in_script):
    count = 4000
    script = """const { draw, uniform } = await import('/tab/random.js');
        const random = uniform(given[1]);
        return JSON.stringify(given[0].map(
          (mixture) => Array.from({ length: given[2] }, () => draw(mixture, random))));"""
    drawn = np.array(json.loads(run(script, in_script[:8], 5, count)))
    again = json.loads(run(script, in_script[:8], 5, count))
    np.testing.assert_array_equal(drawn, again)
    deviation = mixtures.variance[:8].sqrt().numpy()
    error = np.abs(drawn.mean(1) - mixtures.mean[:8].numpy()) / deviation
    assert error.max() < 5 / math.sqrt(count)
    np.testing.assert_allclose(drawn.std(1), deviation, rtol=0.15)
    inside = (np.linalg.norm(drawn - mixtures.mean[:8, None].numpy(), axis=-1) < 5).mean(1)
    np.testing.assert_allclose(inside, mixtures.probability_within(mixtures.mean, 5)[:8], atol=0.04)


def test_half_precision_is_read_as_numpy_reads_it(run):
    found = run(
        """const { fromHalf } = await import('/tab/half.js');
        return JSON.stringify([...fromHalf(Uint16Array.from({ length: 31744 }, (_, i) => i))]);"""
    )
    halves = np.arange(31744, dtype=np.uint16).view(np.float16)  # all that are finite, but the sign
    np.testing.assert_array_equal(json.loads(found), halves.astype(np.float32))
    assert run("return [...(await import('/tab/half.js')).fromHalf([48640])]") == [-1.5]


@pytest.mark.parametrize("width, height", [(40, 30), (31, 50), (16, 16), (9, 13)])
def test_the_square_is_the_librarys(run, width, height):
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    found = run(
        """const { makeView, squareOf, toUnit } = await import('/tab/view.js');
        const [width, height, data] = given;
        const view = makeView(width, height);
        return { square: [...squareOf({ data, width }, view, 16)], at: toUnit(view, [3, 4]) };""",
        width,
        height,
        picture.flatten().tolist(),
    )
    view = View(width, height)
    wanted = view.square(torch.from_numpy(picture[..., :3].copy()), 16)
    np.testing.assert_allclose(np.reshape(found["square"], (1, 3, 16, 16)), wanted, atol=2e-6)
    np.testing.assert_allclose(found["at"], view.to_unit(np.array([3.0, 4.0])))
