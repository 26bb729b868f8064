# SPDX-License-Identifier: Apache-2.0
"""The page without a server, as a person uses it: Chromium, and Python's plain file server."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from playwright.sync_api import Page, sync_playwright

from fpt_ros import Predictor
from fpt_ros.inference.moving_part import divergence, moving_probability
from fpt_ros.model import MotionMixture
from fpt_ros.web.offers import shipped
from fpt_ros.web.static_page import main

PIXELS = 0.05
"""How far off the predictor a displacement may be."""
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))


@pytest.fixture(scope="module")
def address(exported, tmp_path_factory) -> Iterator[str]:
    """Of the page, on a file server that knows nothing of it."""
    folder = tmp_path_factory.mktemp("static") / "page"
    main(["--out", str(folder), "--model", str(exported)])
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    port = server.stdout.readline().split("port ")[1].split()[0]
    yield f"http://127.0.0.1:{port}/"
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def page(address) -> Iterator[Page]:
    """The page, once it is ready; whatever it complains of or asks of others fails the tests."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.context.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((address, "blob:" + address, "data:"))
                else complaints.append(f"asked for {request.url}")
            ),
        )
        page.goto(address)
        page.wait_for_selector("body[data-ready=true]", timeout=60_000)
        page.evaluate(
            "async () => { globalThis.engine = await (await import('./tab_engine.js')).connect(); }"
        )
        yield page
        browser.close()
    assert complaints == []


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.from_checkpoint(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def drawer(predictor):
    return predictor.embed(shipped()[0].read(0))


def shown(page: Page) -> dict:
    """What the page shows now."""
    return page.evaluate(
        """async () => {
          const { pokes, query, mixtures, field, message } = (await import('./state.js')).state;
          return { pokes, query, message, points: field?.grid.points ?? [],
            weights: [...mixtures?.weights ?? []], means: [...mixtures?.means ?? []],
            covariances: [...mixtures?.covariances ?? []],
            mean: [...field?.mean ?? []], moving: [...field?.moving ?? []] };
        }"""
    )


def eventually(page: Page, check: Callable[[dict], None], seconds: float = 40) -> None:
    """Answers of earlier pokes may still be on their way."""
    end = time.monotonic() + seconds
    while True:
        try:
            return check(shown(page))
        except (AssertionError, ValueError):
            if time.monotonic() > end:
                raise
        time.sleep(0.1)


def assert_mixture(found: dict, wanted: MotionMixture) -> None:
    count = wanted.logits.shape[-1]
    np.testing.assert_allclose(found["weights"], wanted.weights.flatten(), atol=1e-3)
    means = np.reshape(found["means"], (-1, count, 2))
    np.testing.assert_allclose(means, wanted.locs.reshape(-1, count, 2), atol=PIXELS)
    full = wanted.covariances.reshape(-1, 2, 2)
    packed = torch.stack([full[:, 0, 0], full[:, 0, 1], full[:, 1, 1]], -1)
    np.testing.assert_allclose(
        np.reshape(found["covariances"], (-1, 3)), packed, rtol=0.01, atol=PIXELS**2
    )


def test_what_the_mouse_pokes_is_answered_as_by_the_predictor(page, predictor, drawer):
    box = page.locator("#view").bounding_box()
    start = box["x"] + 0.36 * box["width"], box["y"] + 0.57 * box["height"]
    page.mouse.move(*start)
    page.mouse.down()
    for step in range(1, 6):
        page.mouse.move(start[0] - 12 * step, start[1] + 4 * step)
    page.mouse.up()
    page.mouse.move(box["x"] + 5, box["y"] - 20)  # off the picture: the query point stays
    state = shown(page)
    pokes, query = state["pokes"], state["query"]
    assert len(pokes) == 2 and np.hypot(*pokes[1][2:]) > 20 and query is not None
    at_query = predictor.predict(drawer, pokes, [query])
    fields: dict[int, tuple] = {}  # the page asks a coarse grid while one drags, then a fine one

    def check(state: dict) -> None:
        assert state["message"] == ""
        assert_mixture(state, at_query)
        points = state["points"]
        if len(points) not in fields:
            fields[len(points)] = expected_field(predictor, drawer, pokes, points)
        mean, moving = fields[len(points)]
        np.testing.assert_allclose(np.reshape(state["mean"], (-1, 2)), mean, atol=PIXELS)
        wrong = np.abs(np.array(state["moving"]) - moving) > 2e-3
        assert (moving > 0).sum() > 20 and wrong.sum() <= 2  # some may be at a threshold

    eventually(page, check)


def expected_field(predictor, context, pokes, points) -> tuple[np.ndarray, np.ndarray]:
    """Mean displacements, and how likely what the pokes change is to move."""
    poked = predictor.predict(context, pokes, points)
    unpoked = predictor.predict(context, np.zeros((0, 4)), points)
    moving = moving_probability(poked, min(context.width, context.height))
    changed = (moving > 0.5) & (divergence(poked, unpoked) > predictor.motion_threshold)
    return poked.mean.numpy(), (moving * changed).numpy()


def test_a_persons_own_picture_is_embedded_in_the_tab(page, predictor, tmp_path):
    random = np.random.default_rng(5)
    coarse = random.integers(0, 256, (5, 8, 3), np.uint8)
    picture = cv2.resize(coarse, (451, 300), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / "own.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    pokes, points = [[200.0, 150.0, 30.0, 10.0]], [[210.0, 160.0], [100.0, 250.0], [300.0, 40.0]]
    found = page.evaluate(
        """async ([bytes, pokes, points]) => {
          const picture = await engine.openFile(new Blob([new Uint8Array(bytes)]));
          const { image } = picture;
          const answer = await engine.predict({ image, pokes, points, cameraMoving: true });
          return { weights: [...answer.weights], means: [...answer.means],
            covariances: [...answer.covariances] };
        }""",
        [list(path.read_bytes()), pokes, points],
    )
    context = predictor.embed(picture)
    assert_mixture(found, predictor.predict(context, pokes, points, camera_moving=True))
    assert page.inner_text("#message") == ""


def test_only_the_newest_request_of_a_kind_is_computed(page):
    answered = page.evaluate(
        """async () => {
          const { image } = await engine.openSample("drawer");
          const ask = (x) => engine.predict(
            { image, pokes: [[274, 300, x, 0]], points: [[241, 263]], cameraMoving: false });
          const answers = await Promise.all([...Array(12).keys()].map(ask));
          return answers.map((answer) => answer?.means[0] ?? null);
        }"""
    )
    assert answered[-1] is not None
    assert sum(answer is not None for answer in answered) <= 2
    assert (
        len({answer for answer in answered if answer is not None}) > 1 or answered.count(None) == 11
    )


def test_futures_are_drawn_from_the_models_distribution(page, predictor, drawer):
    pokes, points = [[274.0, 300.0, -33.0, -8.0]], [[241.0, 263.0], [255.0, 280.0]]
    ask = """async ([pokes, points, seed]) => {
      const { image } = await engine.openSample("drawer");
      const answer = await engine.sample({ image, pokes, points, cameraMoving: false }, 256, seed);
      return [...answer.displacements];
    }"""
    first, again, other = (
        np.reshape(page.evaluate(ask, [pokes, points, seed]), (256, 2, 2)) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    drawn = np.concatenate([first, other])
    wanted = predictor.sample(drawer, pokes, points, 512, seed=0)
    deviation = wanted.std(0)
    assert (np.abs(drawn.mean(0) - wanted.mean(0)) < 0.25 * deviation).all()
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.35)
    # They agree with each other: the points' displacements go together.
    together = np.corrcoef(drawn[:, 0, 0], drawn[:, 1, 0])[0, 1]
    assert together == pytest.approx(np.corrcoef(wanted[:, 0, 0], wanted[:, 1, 0])[0, 1], abs=0.2)


def test_plans_reach_the_goal_with_the_chances_that_they_say(page, predictor, drawer):
    wish = {
        "points": [[274, 300]],
        "goals": [[-30, -8]],
        "stay": [[560, 420]],
        "touch": [],
        "reach": 70,
        "tolerance": 13,
        "cameraMoving": False,
    }
    ask = """async (wish) => {
      const { image } = await engine.openSample("drawer");
      return engine.plan({ ...wish, image });
    }"""
    plans = page.evaluate(ask, wish)
    points, goals = [*wish["points"], *wish["stay"]], [*wish["goals"], [0, 0]]
    candidates = [[poke] for poke in plans["pokes"]]
    found = predictor.evaluate(drawer, candidates, points, goals, wish["tolerance"])
    np.testing.assert_allclose(plans["chances"], found.probability, atol=0.01)
    assert plans["chances"][0][0] > 0.5 and plans["chances"][0][1] > 0.9
    assert plans["reasons"][0] == ""
    touch = page.evaluate(ask, {**wish, "touch": [[300, 300, 20]]})
    assert all(np.hypot(x - 300, y - 300) <= 20 for x, y, *_ in touch["pokes"]) and touch["pokes"]
    nowhere = page.evaluate(ask, {**wish, "touch": [[-500, -500, 5]]})
    assert nowhere["pokes"] == [] and "touch" in nowhere["reasons"][0]


def test_the_folder_is_not_written_over_something_else(exported, tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(SystemExit, match="not empty"):
        main(["--out", str(tmp_path), "--model", str(exported)])
    assert [path.name for path in Path(tmp_path).iterdir()] == ["thesis.tex"]
