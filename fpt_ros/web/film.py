# SPDX-License-Identifier: Apache-2.0
"""The short film of the page at the top of README.md: pokes it in a browser without a screen.

make web-film
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpt_ros.command_line import CommandParser

if TYPE_CHECKING:
    from PIL.Image import Image
    from playwright.sync_api import Page

SIZE = (1000, 660)
"""Of the page, CSS pixels."""
PERIOD = 80
"""Milliseconds a frame."""
WIDTH = 800
POINTER = """() => {
  const pointer = document.createElement("div");
  Object.assign(pointer.style, { position: "fixed", width: "18px", height: "18px",
    borderRadius: "50%", border: "2px solid white", background: "rgb(20 24 28 / 0.55)",
    transform: "translate(-50%, -50%)", pointerEvents: "none", zIndex: 9 });
  document.body.append(pointer);
  addEventListener("pointermove", (event) => {
    pointer.style.left = `${event.clientX}px`;
    pointer.style.top = `${event.clientY}px`;
  }, true);
}"""
ANSWERED = """async () => {
  const { state } = await import("/state.js");
  return state.picture !== null && state.asking === 0;
}"""
MOVE = """async ([phase, future]) => {
  const { change } = await import("/state.js");
  change({ phase, future });
}"""

CLEAR = 'async () => (await import("/state.js")).clearAll()'


def main() -> None:
    parser = CommandParser(prog="python -m fpt_ros.web.film", description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/web.webp"))
    options = parser.parse_args()
    try:
        film(options)
    except ModuleNotFoundError as error:
        sys.exit(f"film: there is no {error.name}: make venv-test brings it")


def film(options: argparse.Namespace) -> None:
    """Serve the page, use it, and write what is seen."""
    from playwright.sync_api import sync_playwright
    from tqdm import tqdm

    names = ("chromium", "chromium-browser", "google-chrome")
    browser_path = next(filter(None, map(shutil.which, names)), None)
    with served() as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path, args=["--no-sandbox", "--enable-unsafe-swiftshader"]
        )
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(address + "#picture=drawer")
        page.wait_for_selector("body[data-ready]")
        page.evaluate(POINTER)
        frames = list(tqdm(Actor(page).play(), "filming", unit="frame"))
        browser.close()
    write(options.out, frames)
    print(f"{options.out}: {len(frames)} frames, {options.out.stat().st_size / 1e6:.1f} MB")


@contextmanager
def served() -> Iterator[str]:
    """The page's address, its server in a thread."""
    import asyncio

    from aiohttp import web

    from fpt_ros import Predictor
    from fpt_ros.web.__main__ import listen
    from fpt_ros.web.offers import Offers
    from fpt_ros.web.server import make_app

    runner = web.AppRunner(make_app(Predictor.from_checkpoint(), Offers()))
    listening = listen("127.0.0.1", 0)
    loop = asyncio.new_event_loop()

    async def start() -> None:
        await runner.setup()
        await web.SockSite(runner, listening).start()

    loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


class Actor:
    """Uses the page; each step gives a frame once it is answered."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._at = (420.0, 430.0)

    def play(self) -> Iterator[Image]:
        """Close the drawer, ask about points, see it move; then open it."""
        yield from self._push((300, 312), (262, 303))
        for point in ((270, 275), (230, 300), (170, 300), (330, 250)):
            yield from self._go(point, 5)
            yield from self._rest(4)
        yield from self._move()
        self._page.evaluate(CLEAR)
        yield from self._push((318, 312), (372, 326))
        yield from self._go((270, 290), 5)
        yield from self._rest(6)
        yield from self._move()

    def _push(self, start: tuple[float, float], end: tuple[float, float]) -> Iterator[Image]:
        yield from self._go(start, 6)
        self._page.mouse.down()
        yield from self._go(end, 10)
        self._page.mouse.up()
        yield from self._rest(6)

    def _go(self, end: tuple[float, float], steps: int) -> Iterator[Image]:
        """Move the pointer to a pixel of the picture."""
        start = self._at
        for step in range(1, steps + 1):
            share = step / steps
            x, y = (a + share * (b - a) for a, b in zip(start, end, strict=True))
            self._at = x, y
            self._page.mouse.move(*self._on_screen(*self._at))
            yield self._frame()

    def _rest(self, count: int) -> Iterator[Image]:
        frame = self._frame()
        yield from [frame] * count

    def _move(self) -> Iterator[Image]:
        """The picture moves there and back."""
        phases = [share * share * (3 - 2 * share) for share in (i / 10 for i in range(1, 11))]
        for phase in [*phases, *[1.0] * 8, *phases[::-1], 0.0]:
            self._page.evaluate(MOVE, [phase, -1])
            yield self._frame()

    def _on_screen(self, x: float, y: float) -> tuple[float, float]:
        box: Any = self._page.locator("#view").bounding_box()
        scale = box["width"] / 640
        return box["x"] + (x + 0.5) * scale, box["y"] + (y + 0.5) * scale

    def _frame(self) -> Image:
        from PIL import Image

        while not self._page.evaluate(ANSWERED):
            self._page.wait_for_timeout(20)
        shot = Image.open(io.BytesIO(self._page.screenshot())).convert("RGB")
        return shot.resize((WIDTH, WIDTH * SIZE[1] // SIZE[0]), Image.Resampling.LANCZOS)


def write(path: Path, frames: list[Image]) -> None:
    """An animated WebP; a frame like the one before only lasts longer."""
    kept: list[Image] = []
    durations: list[int] = []
    for frame in frames:
        if kept and frame.tobytes() == kept[-1].tobytes():
            durations[-1] += PERIOD
        else:
            kept.append(frame)
            durations.append(PERIOD)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept[0].save(
        path,
        save_all=True,
        append_images=kept[1:],
        duration=durations,
        loop=0,
        quality=72,
        method=4,
    )


if __name__ == "__main__":
    main()
