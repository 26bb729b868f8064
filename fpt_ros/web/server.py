# SPDX-License-Identifier: Apache-2.0
"""The server of the page: its files, and a WebSocket for each tab. Only the page may use it."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from fpt_ros.engine.turns import Turns
from fpt_ros.web.addresses import refusal
from fpt_ros.web.embeddings import Embeddings
from fpt_ros.web.messages import LIMITS, STATIC, pack
from fpt_ros.web.tabs import Tab

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fpt_ros import Predictor
    from fpt_ros.web.live import LiveCamera
    from fpt_ros.web.offers import Offers

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

AT_ONCE = 32
"""Messages of a tab that are answered at once; more wait in its connection."""
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
TABS: web.AppKey[set[web.WebSocketResponse]] = web.AppKey("tabs")
logger = logging.getLogger(__name__)


def make_app(
    predictor: Predictor, offers: Offers, live: LiveCamera | None = None, host: str = "127.0.0.1"
) -> web.Application:
    """The application; all tabs share the predictor, in turns.

    Args:
        host: the address that it listens on; the page must be asked for by this name, or, where
            that is no loopback, by an address or this machine's name.
    """
    embeddings = Embeddings(predictor)
    turns = Turns(lambda error: logger.error("a turn failed", exc_info=error))
    hello = _hello(predictor, offers, live)

    async def tab_socket(request: web.Request) -> web.StreamResponse:
        response = web.WebSocketResponse(max_msg_size=LIMITS["message_bytes"], heartbeat=20)
        await response.prepare(request)
        await response.send_bytes(hello)
        tab = Tab(predictor, embeddings, turns, offers, live, _sender(response))
        request.app[TABS].add(response)
        try:
            await _serve(response, tab)
        finally:
            tab.close()
            request.app[TABS].discard(response)
        return response

    async def index(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(STATIC / "index.html")

    async def stop(_: web.Application) -> None:
        turns.stop(10.0)

    app = web.Application(middlewares=[_only_the_page(host)])
    app[TABS] = set[web.WebSocketResponse]()
    app.add_routes([web.get("/", index), web.get("/socket", tab_socket), web.static("/", STATIC)])
    app.on_shutdown.append(_close_tabs)
    app.on_cleanup.append(stop)
    return app


async def _serve(response: web.WebSocketResponse, tab: Tab) -> None:
    """Answer a tab's messages until it is closed; several at once: newer ones replace others."""
    room = asyncio.Semaphore(AT_ONCE)
    tasks: set[asyncio.Task[None]] = set()

    async def answer(data: bytes) -> None:
        try:
            await tab.receive(data)
        finally:
            room.release()

    try:
        async for message in response:
            if message.type is WSMsgType.BINARY:
                await room.acquire()
                task = asyncio.create_task(answer(message.data))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            elif message.type is WSMsgType.TEXT:
                text = "a text message: must be binary, see messages.json"
                await response.send_bytes(pack({"kind": "error", "id": None, "message": text}, {}))
    finally:
        for task in tasks:
            task.cancel()


def _sender(response: web.WebSocketResponse) -> Callable[[bytes], Awaitable[None]]:
    async def send(data: bytes) -> None:
        if not response.closed:
            await response.send_bytes(data)

    return send


async def _close_tabs(app: web.Application) -> None:
    for response in app[TABS].copy():
        await response.close(code=1001, message=b"the server ends")


def _hello(predictor: Predictor, offers: Offers, live: LiveCamera | None) -> bytes:
    info = predictor.info
    model = {
        "name": info.checkpoint,
        "license": info.license,
        "where": info.device,
        "side": info.view_size,
    }
    can = ["predict", "field", "sample", "plan", *(["watch"] if live else [])]
    shown = {"model": model, "samples": offers.listed(), "can": can}
    return pack({"kind": "hello", **shown}, {})


def _only_the_page(host: str) -> Any:
    """Refuses what another page sends, see `fpt_ros.web.addresses`."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        why = refusal(request.host, request.headers.get("Origin"), host)
        if why:
            raise web.HTTPForbidden(text=why + "\n", headers=HEADERS)
        response = await handler(request)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return check
