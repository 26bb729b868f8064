# SPDX-License-Identifier: Apache-2.0
"""The page as a person uses it, in a real browser; its numbers against `Predictor`'s."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from page_harness import Page, wait_for

from fpt_ros import Predictor
from fpt_ros.inference.context import ImageContext
from fpt_ros.web.offers import Offers

Open = Callable[..., Page]
DRAWER = "#picture=drawer&pokes=274,300,-33.2,-8&query=241,263"
CLOSE = 0.05  # pixels
DROP = """(bytes) => {
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([new Uint8Array(bytes)], "dropped.png", { type: "image/png" }));
  const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
  return document.getElementById("view").dispatchEvent(drop);
}"""
FIELDS = """async () => {
  const { onChange, state } = await import("/state.js");
  globalThis.fields = [];
  onChange((names) => names.has("field") && fields.push(state.field.grid.points.length));
}"""


@pytest.fixture(scope="module")
def drawer(predictor: Predictor) -> ImageContext:
    return predictor.embed(Offers().open("drawer", None)[0])


def flow(page: Page) -> np.ndarray:
    """The means of the field, [n, 2], and its points."""
    field = page.answered("field")
    return np.array(field["mean"]).reshape(-1, 2), np.array(field["grid"]["points"])


def test_opens_with_a_push_and_the_predictor_s_answer(
    open_page: Open, predictor: Predictor, drawer: ImageContext
):
    page = open_page()
    (poke,) = page.state("pokes")
    expected = predictor.predict(drawer, [poke], [page.state("query")])
    assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE
    mean, points = flow(page)
    assert np.abs(mean - predictor.predict(drawer, [poke], points).mean.numpy()).max() < CLOSE
    shown = page.page.text_content("footer")
    assert "Apache-2.0" in shown and "embedded" in shown and " ms" in shown


def test_what_moves_along_is_what_segmentation_says(
    open_page: Open, predictor: Predictor, drawer: ImageContext
):
    page = open_page(DRAWER)
    field = page.answered("field")
    moves = np.array(field["moving"]) > 0
    points = np.round(np.array(field["grid"]["points"])).astype(int)
    part = predictor.segment(drawer, page.state("pokes")).moves[points[:, 1], points[:, 0]]
    assert moves.sum() > 50
    assert (moves & part).sum() / (moves | part).sum() > 0.8  # it interpolates


def test_a_drag_pushes_and_the_arrow_s_ends_can_be_dragged(
    open_page: Open, predictor: Predictor, drawer: ImageContext
):
    page = open_page("#picture=drawer")
    page.drag((330, 310), (370, 320))
    assert np.allclose(page.state("pokes"), [[330, 310, 40, 10]], atol=1)
    page.drag((370, 320), (360, 350))
    page.drag((330, 310), (325, 305))
    (poke,) = page.state("pokes")
    assert np.allclose(poke, [325, 305, 30, 40], atol=2)
    expected = predictor.predict(drawer, [poke], [page.state("query")])
    assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE
    page.drag((100, 400), (120, 400))
    assert len(page.state("pokes")) == 2
    for count in (1, 1, 1, 0):
        page.page.click("#undo")
        assert len(page.state("pokes")) == count


def test_the_query_follows_the_pointer_and_a_click_keeps_it(
    open_page: Open, predictor: Predictor, drawer: ImageContext
):
    page = open_page(DRAWER)
    page.page.mouse.move(*page.at(300, 330), steps=8)
    hovered = page.wait_for("hover")
    assert np.allclose(hovered, [300, 330], atol=1)
    expected = predictor.predict(drawer, page.state("pokes"), [hovered])
    assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE
    page.page.mouse.down()
    page.page.mouse.up()
    page.page.mouse.move(5, 5)
    page.wait_for("hover", lambda hover: hover is None)
    assert np.allclose(page.state("query"), [300, 330], atol=1)


def test_camera_and_pushes_can_be_left_out(
    open_page: Open, predictor: Predictor, drawer: ImageContext
):
    page = open_page(DRAWER)
    pokes, query = page.state("pokes"), page.state("query")
    page.page.uncheck("#poked")
    page.page.check("#cameraMoving")
    expected = predictor.predict(drawer, [], [query], camera_moving=True)
    assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE
    page.page.check("#poked")
    expected = predictor.predict(drawer, pokes, [query], camera_moving=True)
    assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE


def test_each_way_to_show_it_draws_something_else_and_the_picture_moves(open_page: Open):
    page = open_page(DRAWER)
    page.answered("field")
    drawn = []
    for label in ("Colour", "Arrows", "Moving part", "Nothing"):
        page.page.click(f"text={label} >> visible=true")
        page.page.wait_for_timeout(100)  # it paints with the screen's next frame
        drawn.append(page.pixels())
    for i in range(4):
        for j in range(i):
            assert (np.abs(drawn[i] - drawn[j]).max(-1) > 20).mean() > 0.002
    with page.page.expect_download() as saved:
        page.page.click("#save")
    picture = cv2.imread(str(saved.value.path()))
    assert picture.shape[1] * 480 == pytest.approx(picture.shape[0] * 640, abs=640)
    page.page.click("#play")
    wait_for(
        lambda: (np.abs(page.pixels() - drawn[3]).max(-1) > 20).mean() > 0.01,
        "a picture that moves",
    )
    page.page.click("#play")
    page.wait_for("phase", lambda phase: phase == 0)


def test_four_futures_are_the_predictor_s_samples(
    open_page: Open, predictor: Predictor, drawer: ImageContext
):
    page = open_page(DRAWER)
    page.page.click("#futures button")
    page.page.wait_for_selector("#busy:visible")
    futures = page.wait_for("futures")
    page.page.wait_for_selector("#busy", state="hidden")
    shifts = np.array(futures["shifts"]).reshape(4, -1, 2)
    points, pokes = futures["grid"]["points"], page.state("pokes")
    assert np.abs(shifts - predictor.sample(drawer, pokes, points, 4, seed=1)).max() < CLOSE
    page.page.click("#futures li:nth-child(2) button")
    assert page.state("future") == 1


def test_a_plan_keeps_to_what_is_painted_and_says_its_chances(
    open_page: Open, predictor: Predictor, drawer: ImageContext
):
    page = open_page("#picture=drawer&pokes=274,300,20,0")
    page.page.click("text=set a goal")
    page.drag((274, 300), (241, 292))  # from where a push begins, which stays as it is
    assert page.state("pokes") == [[274, 300, 20, 0]]
    page.page.click("text=mark what stays")
    page.page.mouse.click(*page.at(174, 279))
    page.page.click("text=paint where to touch")
    page.drag((300, 320), (280, 340))
    page.page.click("#find")
    plans = page.wait_for("plans")
    assert len(plans["pokes"]) >= 1
    painted = np.array(page.state("touch"))
    for poke, chances in zip(plans["pokes"], plans["chances"], strict=True):
        away = np.hypot(*(painted[:, :2] - poke[:2]).T) - painted[:, 2]
        assert away.min() < 1
        motion = predictor.predict(drawer, [poke], [[274, 300], [174, 279]])
        goals = np.array([[-33.0, -8.0], [0, 0]])
        within = motion.probability_within(motion.locs.new_tensor(goals), 0.02 * 640)
        assert np.abs(within.numpy() - chances).max() < 0.05  # of a drag to whole screen pixels
    assert np.allclose(page.state("pokes"), [plans["pokes"][0]])
    assert "Goal reached" in page.page.text_content("#planning ol")


def test_the_address_holds_the_view(open_page: Open):
    page = open_page("#picture=drawer")
    page.drag((330, 310), (370, 320))
    page.page.click("text=Arrows")
    page.page.check("#cameraMoving")
    page.page.wait_for_timeout(400)  # the address is written a moment later
    before = {name: page.state(name) for name in ("pokes", "query", "show", "cameraMoving")}
    page.page.reload()
    page.page.wait_for_selector("body[data-ready]")
    for name, value in before.items():
        kept = page.state(name)
        same = np.allclose(kept, value, atol=0.06) if isinstance(value, list) else kept == value
        assert same, name


def test_few_points_are_answered_before_many(open_page: Open):
    page = open_page("#picture=drawer")
    page.answered("field")
    page.page.evaluate(FIELDS)
    page.page.focus("#view")
    page.page.keyboard.press("Enter")
    page.answered("field")
    assert page.page.evaluate("fields") == [300, 1728]
    page.page.mouse.click(*page.at(300, 300))  # nothing of a field changes
    page.answered("mixtures")
    assert page.page.evaluate("fields.length") == 2


def test_two_tabs_are_answered(open_page: Open):
    first, second = (
        open_page(DRAWER),
        open_page("#picture=drawer&pokes=330,310,40,10&query=330,310"),
    )
    for y in (100, 200, 400):
        first.drag((100, y), (130, y))
        second.drag((100, y), (130, y))
    assert np.isfinite([first.mean(), second.mean()]).all()
    assert len(first.answered("pokes")) == len(second.answered("pokes")) == 4


def test_a_picture_of_one_s_own(open_page: Open, predictor: Predictor, tmp_path: Path):
    noise = np.random.default_rng(1).integers(0, 255, (9, 15, 3), np.uint8)
    picture = cv2.resize(noise, (450, 270))
    cv2.imwrite(str(tmp_path / "mine.png"), picture[..., ::-1])
    page = open_page()
    page.page.set_input_files("#file", tmp_path / "mine.png")
    page.wait_for("source", lambda source: source == {"file": True})
    page.drag((200, 100), (240, 120))
    context = predictor.embed(picture)
    expected = predictor.predict(context, page.state("pokes"), [page.state("query")])
    assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE
    page.page.select_option("#samples", "door")
    page.wait_for("source", lambda source: source.get("sample") == "door")
    page.page.click("#undo")  # not the push on the picture before
    assert len(page.state("pokes")) == 1
    dropped = cv2.imencode(".png", np.ascontiguousarray(picture[:, :200, ::-1]))[1]
    assert not page.page.evaluate(DROP, dropped.tolist())  # else the browser would leave the page
    assert page.wait_for("picture", lambda found: found["width"] == 200)["bitmap"][0] == 200
    (tmp_path / "no.png").write_text("no picture")
    page.drag((60, 60), (90, 60))
    page.page.set_input_files("#file", tmp_path / "no.png")
    page.wait_for("asking", lambda asking: not asking)  # answers to the drag come after the message
    assert "not a picture" in page.state("message")
    page.drag((60, 90), (90, 90))
    page.wait_for("message", lambda message: not message)


def test_pictures_films_and_bags_of_the_folder(
    open_page: Open, predictor: Predictor, offered: Path
):
    page = open_page()
    names = page.page.locator("#samples option").all_text_contents()
    assert {"wide.png", "trimmed.mp4", "drawer /camera/image/compressed"} <= {*names}
    assert "elsewhere.png" not in names
    page.page.select_option("#samples", label="drawer /camera/image/compressed")
    page.wait_for("frames", lambda frames: frames == 50)
    page.page.fill("#frame", "30")
    page.wait_for("source", lambda source: source.get("frame") == 30)
    page.drag((250, 300), (220, 292))
    frame = Offers(offered).open("folder/drawer /camera/image/compressed", 30)[0]
    context = predictor.embed(frame)
    expected = predictor.predict(context, page.state("pokes"), [page.state("query")])
    assert np.abs(page.mean() - expected.mean.numpy()[0]).max() < CLOSE
    page.page.select_option("#samples", label="trimmed.mp4")
    page.wait_for("source", lambda source: source["sample"] == "folder/trimmed.mp4")


@pytest.mark.parametrize("size", [(1280, 700), (390, 844)])
def test_model_licence_and_latency_are_always_in_view(open_page: Open, size: tuple[int, int]):
    page = open_page(viewport=dict(zip(("width", "height"), size, strict=True)))
    for scrolled in (0, 300):
        page.page.mouse.wheel(0, scrolled)
        for name in ("latency", "model", "license"):
            box = page.page.locator(f"#{name}").bounding_box()
            assert 0 < box["y"] < size[1] - box["height"]


@pytest.mark.parametrize("size", [(1280, 700), (1366, 768), (1000, 1200)])
def test_the_picture_and_what_is_said_of_it_fill_the_window(open_page: Open, size: tuple[int, int]):
    page = open_page(viewport=dict(zip(("width", "height"), size, strict=True)))
    picture, beside, below = (
        page.page.locator(name).bounding_box() for name in ("#view", "aside", "footer")
    )
    assert abs(picture["width"] / picture["height"] - 640 / 480) < 0.01
    assert picture["y"] + picture["height"] < below["y"]
    assert 0 < beside["x"] - (picture["x"] + picture["width"]) < 24
    assert page.page.evaluate("document.documentElement.scrollWidth") == size[0]


def test_the_picture_stays_under_the_pointer(open_page: Open):
    page = open_page(DRAWER, viewport={"width": 1280, "height": 700})
    page.page.click("#futures button")
    page.wait_for("futures")
    page.page.locator("#find").scroll_into_view_if_needed()
    start, end = page.at(330, 310), page.at(370, 320)
    page.page.mouse.move(*start)
    page.page.mouse.down()
    page.page.mouse.move(*end, steps=3)  # takes away the futures below
    page.page.mouse.up()
    assert np.allclose(page.state("pokes")[1], [330, 310, 40, 10], atol=1.5)


def test_on_a_phone(open_page: Open):
    page = open_page(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    width = page.page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    session = page.page.context.new_cdp_session(page.page)
    for kind, point in (
        ("touchStart", (100, 400)),
        ("touchMove", (120, 390)),
        ("touchMove", (150, 380)),
        ("touchEnd", None),
    ):
        touches = [dict(zip("xy", page.at(*point), strict=True))] if point else []
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})
    assert np.allclose(
        page.wait_for("pokes", lambda pokes: len(pokes) == 2)[1], [100, 400, 50, -20], atol=2
    )


def test_by_keyboard_alone(open_page: Open):
    page = open_page("#picture=drawer")
    page.page.focus("#view")
    keys = page.page.keyboard
    for key in ("ArrowLeft", "Shift+ArrowDown", "Enter", "Shift+ArrowUp", "Enter", "ArrowRight"):
        keys.press(key)
    assert page.state("pokes") == [[316, 260, 32, -20]]
    assert page.state("query") == [320, 260]
    keys.press("2")
    assert page.state("show") == "arrows"
    keys.press("u")
    assert page.state("pokes") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(open_page: Open, scheme: str):
    page = open_page(DRAWER, color_scheme=scheme)
    page.answered("field")
    found = Axe().run(page.page).response["violations"]
    assert [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")] == []
