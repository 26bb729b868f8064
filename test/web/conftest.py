# SPDX-License-Identifier: Apache-2.0
"""The demo's server as a process, and a real browser on it."""

from __future__ import annotations

import os
import shutil

# Before rclpy is imported: a domain of this run's own, and nothing beyond this machine.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from page_harness import Page, WebServer, launched, opened
from playwright.sync_api import Browser, sync_playwright

from fpt_ros import Predictor

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def predictor() -> Predictor:
    return Predictor.from_checkpoint()


@pytest.fixture(scope="session")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a picture, a film, a bag, and a link that leads out of it."""
    folder = tmp_path_factory.mktemp("offered")
    noise = np.random.default_rng(0).integers(0, 255, (12, 20, 3), np.uint8)
    cv2.imwrite(str(folder / "wide.png"), cv2.resize(noise, (500, 300)))
    shutil.copy(ROOT / "test/data/fixtures/trimmed.mp4", folder)
    shutil.copytree(ROOT / "recordings/drawer/bag", folder / "drawer")
    (folder / "elsewhere.png").symlink_to(ROOT / "docs/pictures/load.png")
    return folder


@pytest.fixture(scope="session")
def server(offered: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    log = tmp_path_factory.mktemp("web") / "server.log"
    with WebServer(log, str(offered)) as server:
        yield server
    assert "Traceback" not in server.log


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launched(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, server: WebServer) -> Iterator[Callable[..., Page]]:
    """Opens the page, or a view of it: open_page("#picture=...", viewport=...)."""
    with ExitStack() as stack:

        def open(view: str = "", **options: object) -> Page:
            return stack.enter_context(opened(browser, server.address + view, **options))

        yield open
