# SPDX-License-Identifier: Apache-2.0
"""Drives the page as a person does, and reads what it was answered."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from playwright.sync_api import Browser, Playwright
from playwright.sync_api import Page as BrowserPage

PATIENCE = 90.0  # seconds
STATE = """async (name) => {
  const { state } = await import("/state.js");
  const plain = (value) => ArrayBuffer.isView(value) ? Array.from(value)
    : value instanceof ImageBitmap ? [value.width, value.height]
    : Array.isArray(value) ? value.map(plain)
    : value && typeof value === "object"
      ? Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]))
      : value;
  return plain(state[name]);
}"""


def launched(playwright: Playwright) -> Browser:
    """Debian's Chromium, or another one that is installed, without a screen."""
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    arguments = ["--no-sandbox", "--enable-unsafe-swiftshader"]
    return playwright.chromium.launch(executable_path=next(filter(None, found)), args=arguments)


class WebServer:
    """`fpt-web` as a process, on a port that is free."""

    def __init__(self, log: Path, *arguments: str) -> None:
        self._log = log
        command = [sys.executable, "-m", "fpt_ros.web", "--port", "0", *arguments]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        with log.open("w") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        self.address = wait_for(self._announced, "the server's address")

    @property
    def log(self) -> str:
        return self._log.read_text()

    def _announced(self) -> str:
        assert self._process.poll() is None, self.log
        found = re.search(r"http://\S+", self.log)
        return found.group() if found else ""

    def __enter__(self) -> WebServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        assert self._process.wait(20) == 0


def wait_for(condition: Any, what: str) -> Any:
    """What the condition gives once it is true."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")


class Page:
    """The page in a tab."""

    def __init__(self, page: BrowserPage) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("console", lambda told: told.type == "error" and self.errors.append(told.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def open(self, address: str) -> None:
        self.page.goto(address)
        self.page.wait_for_selector("body[data-ready]", timeout=1e3 * PATIENCE)

    def state(self, name: str) -> Any:
        """A part of the page's state, arrays as lists."""
        return self.page.evaluate(STATE, name)

    def wait_for(self, name: str, condition: Any = bool) -> Any:
        """A part of the state once it is as wanted."""

        def found() -> Any:
            value = self.state(name)
            return [value] if condition(value) else None

        return wait_for(found, name)[0]

    def answered(self, name: str) -> Any:
        """The answer of that name, once those to all requests have come."""
        self.wait_for("asking", lambda count: count == 0)
        return self.state(name)

    def pixels(self) -> np.ndarray:
        """Of the picture as it is drawn on the screen, [h, w, 3]."""
        shot = np.frombuffer(self.page.locator("#view").screenshot(), np.uint8)
        return cv2.imdecode(shot, cv2.IMREAD_COLOR).astype(int)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a pixel of the picture lies on the screen."""
        box = self.page.locator("#view").bounding_box()
        width, height = self.state("picture")["bitmap"]
        return (
            box["x"] + (x + 0.5) * box["width"] / width,
            box["y"] + (y + 0.5) * box["height"] / height,
        )

    def drag(self, start: tuple[float, float], end: tuple[float, float], steps: int = 3) -> None:
        self.page.mouse.move(*self.at(*start))
        self.page.mouse.down()
        self.page.mouse.move(*self.at(*end), steps=steps)
        self.page.mouse.up()

    def mean(self) -> np.ndarray:
        """Expected displacement of the query point, pixels."""
        mixtures = self.answered("mixtures")
        weights = np.array(mixtures["weights"])
        return weights @ np.array(mixtures["means"]).reshape(-1, 2)


@contextmanager
def opened(browser: Browser, address: str, **options: object) -> Iterator[Page]:
    """A page in a profile of its own, whose console must stay free of errors."""
    context = browser.new_context(**options)
    page = Page(context.new_page())
    page.open(address)
    yield page
    context.close()
    assert page.errors == []
