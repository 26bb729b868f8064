# SPDX-License-Identifier: Apache-2.0
"""The page without a server, as a person uses it: Chromium, and Python's plain file server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from page_harness import Page
from playwright.sync_api import Browser

from fpt_ros import Predictor
from fpt_ros.inference.context import ImageContext
from fpt_ros.inference.moving_part import divergence, moving_probability
from fpt_ros.model import MotionMixture
from fpt_ros.web.offers import shipped
from fpt_ros.web.static_page import main

PIXELS = 0.05
"""How far off the predictor a displacement may be."""


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
def page(browser: Browser, address: str) -> Iterator[Page]:
    """The page, once it is ready. It must complain of nothing, and ask nothing of other hosts."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = Page(context.new_page())
    page.open(address)
    yield page
    context.close()
    assert page.errors == []
    assert len(asked) > 20 and all(url.startswith((address, f"blob:{address}")) for url in asked)


@pytest.fixture(scope="module")
def engine(page: Page) -> Callable[..., Any]:
    """Runs JavaScript with an `engine` of its own, in the same page."""
    page.page.evaluate(
        """async () => {
          globalThis.engine = await (await import("/tab_engine.js")).connect();
        }"""
    )

    def run(script: str, *given: Any) -> Any:
        return page.page.evaluate(f"async (given) => {{ {script} }}", given)

    return run


@pytest.fixture(scope="module")
def drawer(predictor: Predictor) -> ImageContext:
    return predictor.embed(shipped()[0].read(0))


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


def test_what_the_mouse_pokes_is_answered_as_by_the_predictor(
    page: Page, predictor: Predictor, drawer: ImageContext
):
    page.drag((230, 273), (180, 290))
    pokes, query = page.wait_for("pokes", lambda pokes: len(pokes) == 2), page.state("query")
    page.page.mouse.move(5, 5)  # off the picture: the point that stays is asked about
    assert_mixture(page.answered("mixtures"), predictor.predict(drawer, pokes, [query]))
    field = page.answered("field")
    mean, moving = expected_field(predictor, drawer, pokes, field["grid"]["points"])
    np.testing.assert_allclose(np.reshape(field["mean"], (-1, 2)), mean, atol=PIXELS)
    assert np.linalg.norm(mean, axis=1).max() > 10
    wrong = np.abs(np.array(field["moving"]) - moving) > 2e-3
    assert (moving > 0).sum() > 20 and wrong.sum() <= 2  # some may be at a threshold
    assert page.state("message") == ""
    assert "in the tab" in page.page.inner_text("footer")


def expected_field(predictor, context, pokes, points) -> tuple[np.ndarray, np.ndarray]:
    """Mean displacements, and how likely what the pokes change is to move."""
    poked = predictor.predict(context, pokes, points)
    unpoked = predictor.predict(context, np.zeros((0, 4)), points)
    moving = moving_probability(poked, min(context.width, context.height))
    changed = (moving > 0.5) & (divergence(poked, unpoked) > predictor.motion_threshold)
    return poked.mean.numpy(), (moving * changed).numpy()


def test_a_persons_own_picture_is_embedded_in_the_tab(
    page: Page, engine: Callable[..., Any], predictor: Predictor, tmp_path: Path
):
    random = np.random.default_rng(5)
    coarse = random.integers(0, 256, (5, 8, 3), np.uint8)
    picture = cv2.resize(coarse, (451, 300), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / "own.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    pokes, points = [[200.0, 150.0, 30.0, 10.0]], [[210.0, 160.0], [100.0, 250.0], [300.0, 40.0]]
    found = engine(
        """const [bytes, pokes, points] = given;
        const { image } = await engine.openFile(new Blob([new Uint8Array(bytes)]));
        const answer = await engine.predict({ image, pokes, points, cameraMoving: true });
        return { weights: [...answer.weights], means: [...answer.means],
          covariances: [...answer.covariances] };""",
        list(path.read_bytes()),
        pokes,
        points,
    )
    context = predictor.embed(picture)
    assert_mixture(found, predictor.predict(context, pokes, points, camera_moving=True))
    page.page.set_input_files("#file", path)
    assert page.wait_for("picture", lambda shown: shown["width"] == 451)["height"] == 300
    page.drag((200, 150), (230, 160))
    assert np.abs(page.answered("field")["mean"]).max() > 5
    path.write_bytes(b"no picture")
    page.page.set_input_files("#file", path)
    assert "not a picture" in page.wait_for("message")


def test_only_the_newest_request_of_a_kind_is_computed(engine: Callable[..., Any]):
    answered = engine(
        """const { image } = await engine.openSample("drawer");
        const ask = (x) => engine.predict(
          { image, pokes: [[274, 300, x, 0]], points: [[241, 263]], cameraMoving: false });
        const answers = await Promise.all([10, 20, 30, 40, 50, 60].map(ask));
        const alone = await ask(60);
        return [...answers, alone].map((answer) => answer?.means[0] ?? null);"""
    )
    assert answered[5] == answered[6] is not None
    assert answered[1:5] == [None] * 4
    fine = engine(
        """const { image } = await engine.openSample("drawer");
        const points = (count) => Array.from({ length: count }, (_, i) => [i % 600, i % 400]);
        const ask = (count) => engine.field(
          { image, pokes: [[274, 300, 9, 0]], points: points(count), cameraMoving: false });
        const answers = [ask(3000)];
        await new Promise((resolve) => setTimeout(resolve, 100)); // it is begun
        answers.push(ask(5));
        return (await Promise.all(answers)).map((answer) => answer && answer.moving.length);"""
    )
    assert fine == [None, 5]


def test_futures_are_drawn_from_the_models_distribution(
    engine: Callable[..., Any], predictor: Predictor, drawer: ImageContext
):
    pokes, points = [[274.0, 300.0, -33.0, -8.0]], [[241.0, 263.0], [255.0, 280.0]]

    def futures(seed: int, points: list[list[float]] = points, count: int = 256) -> np.ndarray:
        answer = engine(
            """const [pokes, points, seed, count] = given;
            const { image } = await engine.openSample("drawer");
            const asked = { image, pokes, points, cameraMoving: false };
            return JSON.stringify([...(await engine.sample(asked, count, seed)).displacements]);""",
            pokes,
            points,
            seed,
            count,
        )
        return np.reshape(json.loads(answer), (count, len(points), 2))

    first = futures(1)
    np.testing.assert_array_equal(first, futures(1))
    drawn = np.concatenate([first, futures(2)])
    wanted = predictor.sample(drawer, pokes, points, 512, seed=1)
    deviation = wanted.std(0)
    assert (np.abs(drawn.mean(0) - wanted.mean(0)) < 0.3 * deviation).all()
    np.testing.assert_allclose(drawn.std(0), deviation, rtol=0.4)
    ours, theirs = (np.corrcoef(each[:, 0, 0], each[:, 1, 0])[0, 1] for each in (drawn, wanted))
    assert ours == pytest.approx(theirs, abs=0.2)  # each future agrees with itself
    # Of many points most have the mean that the drawn ones let expect, and move with them.
    many = futures(1, [[x, y] for y in range(250, 300, 10) for x in range(230, 270, 5)], 4)
    assert (np.linalg.norm(many - many.mean(1, keepdims=True), axis=2).mean(1) < 12).all()
    assert many.std(0).mean() > 0.5


def test_plans_reach_the_goal_with_the_chances_that_they_say(
    engine: Callable[..., Any], predictor: Predictor, drawer: ImageContext
):
    wish = {
        "points": [[274, 300]],
        "goals": [[-30, -8]],
        "stay": [[560, 420]],
        "touch": [],
        "reach": 70,
        "tolerance": 13,
        "cameraMoving": False,
    }

    def planned(**changed: Any) -> dict:
        return engine(
            """const { image } = await engine.openSample("drawer");
            return engine.plan({ ...given[0], image });""",
            {**wish, **changed},
        )

    plans = planned()
    points, goals = [*wish["points"], *wish["stay"]], [*wish["goals"], [0, 0]]
    candidates = [[poke] for poke in plans["pokes"]]
    found = predictor.evaluate(drawer, candidates, points, goals, wish["tolerance"])
    np.testing.assert_allclose(plans["chances"], found.probability, atol=0.01)
    assert plans["chances"][0][0] > 0.5 and plans["chances"][0][1] > 0.9
    assert plans["reasons"][0] == ""
    within = planned(touch=[[300, 300, 20]])["pokes"]
    assert within and all(np.hypot(x - 300, y - 300) <= 20 for x, y, *_ in within)
    nowhere = planned(touch=[[-500, -500, 5]])
    assert nowhere["pokes"] == [] and "touch" in nowhere["reasons"][0]


def test_the_folder_is_not_written_over_something_else(exported, tmp_path):
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(SystemExit, match="not empty"):
        main(["--out", str(tmp_path), "--model", str(exported)])
    assert [path.name for path in Path(tmp_path).iterdir()] == ["thesis.tex"]
