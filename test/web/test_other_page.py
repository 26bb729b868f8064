# SPDX-License-Identifier: Apache-2.0
"""A page of another origin, in a real browser, that tries to use the server."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from page_harness import WebServer
from playwright.sync_api import Browser

TRIES = """async (server) => {
  const socket = new WebSocket(server.replace("http", "ws") + "socket");
  const greeted = await new Promise((done) => {
    socket.onmessage = () => done(true);
    socket.onerror = () => done(false);
  });
  const read = await fetch(server).then((answer) => answer.ok, () => false);
  const script = await import(server + "state.js").then(() => true, () => false);
  return { greeted, read, script };
}"""


@pytest.fixture
def other(server: WebServer, tmp_path: Path) -> Iterator[str]:
    """A page of this machine that frames the server's; browsers hold back those of elsewhere."""
    (tmp_path / "index.html").write_text(f'<iframe src="{server.address}"></iframe>')
    handler = functools.partial(SimpleHTTPRequestHandler, directory=tmp_path)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as host:
        threading.Thread(target=host.serve_forever).start()
        yield f"http://127.0.0.1:{host.server_port}/"
        host.shutdown()


@pytest.mark.parametrize("own", [True, False])
def test_the_server_answers_its_own_page_alone(
    browser: Browser, server: WebServer, other: str, own: bool
):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(server.address if own else other)
        tried = page.evaluate(TRIES, server.address)
    assert tried == dict.fromkeys(tried, own)


def test_another_page_cannot_frame_it(browser: Browser, other: str):
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(other)
        [inner] = page.frames[1:]
        assert inner.query_selector("canvas") is None
