# SPDX-License-Identifier: Apache-2.0
"""One tab's side of the server: its open picture, and its requests, the newest of each kind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.encodings import ImageError
from fpt_ros.web.messages import LIMITS, MessageError, Request, pack, read_request
from fpt_ros.web.offers import decoded, png
from fpt_ros.web.pictures import ModelPicture, Picture
from fpt_ros.web.sharing import TabJobs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jaxtyping import UInt8

    from fpt_ros import Predictor
    from fpt_ros.engine.turns import Turns
    from fpt_ros.web.embeddings import Embeddings
    from fpt_ros.web.live import LiveCamera
    from fpt_ros.web.offers import Offers
    from fpt_ros.web.pictures import Arrays

LONG = {"sample", "plan"}
"""Kinds of requests that any newer one stops."""
FRAMES_A_SECOND = 10
"""Of a live camera, at most."""
NO_BYTES = np.zeros(0, np.uint8)
logger = logging.getLogger(__name__)


class Tab:
    """Answers one tab. `send` gets messages; `closed` must be called at the end."""

    def __init__(
        self,
        predictor: Predictor,
        embeddings: Embeddings,
        turns: Turns,
        offers: Offers,
        live: LiveCamera | None,
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._predictor = predictor
        self._embeddings = embeddings
        self._jobs = TabJobs(turns)
        self._offers = offers
        self._live = live
        self._send = send
        self._picture: Picture | None = None
        self._image = 0  # number of the open picture
        self._newest: dict[str, int] = {}
        self._running: dict[str, tuple[Request, Future[Any]]] = {}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._watching: asyncio.Task[None] | None = None

    async def receive(self, data: bytes) -> None:
        """Answer one message, whatever it is."""
        number: int | None = None
        try:
            request = read_request(data)
            number = request.id
            answer = await self._newest_only(request)
            header = {"kind": request.kind if answer is not None else "replaced", "id": number}
        except Exception as error:
            number = getattr(error, "id", number)
            header, answer = {"kind": "error", "id": number, "message": _told(error)}, None
        arrays = {k: v for k, v in (answer or {}).items() if isinstance(v, np.ndarray)}
        fields = {k: v for k, v in (answer or {}).items() if k not in arrays}
        await self._send(pack({**header, **fields}, arrays))

    def close(self) -> None:
        """The tab is gone: nothing is computed for it any more."""
        self._jobs.close()
        self._stop_running()
        if self._watching:
            self._watching.cancel()
        if self._picture:
            self._picture.close()

    async def _newest_only(self, request: Request) -> Arrays | None:
        """The answer; None if a newer request of the kind came before this one was begun, or
        stopped it."""
        self._newest[request.kind] = request.id
        running = self._running.get(request.kind)
        if running is not None and _stops(request, running[0]):
            running[1].cancel()
        async with self._locks[request.kind]:
            if self._newest[request.kind] != request.id:
                return None
            if request.kind == "open":
                return await self._open(request)
            if request.kind == "watch":
                return self._watch(request.fields["on"])
            return await self._ask(request)

    async def _ask(self, request: Request) -> Arrays | None:
        if self._picture is None or request.fields["image"] != self._image:
            raise MessageError(f"image is {request.fields['image']}: it is not open any more")
        future = self._picture.ask(request)
        self._running[request.kind] = request, future
        try:
            return await _result(future)
        finally:
            del self._running[request.kind]

    async def _open(self, request: Request) -> Arrays | None:
        """Open what the request names; the picture before it is closed."""
        fields, file = request.fields, request.arrays["file"]
        told: Arrays = {"milliseconds": 0.0, "frame": 0, "frames": 1}
        begin = time.perf_counter()
        picture: Picture | None
        if fields["stamp"] is not None:
            if self._live is None:
                raise MessageError("stamp: no camera is shown, see fpt-web --live")
            picture, rgb = await asyncio.to_thread(self._live.open, fields["stamp"])
            told |= {"file": png(rgb), "model": self._live.model()}
        else:
            if fields["sample"] is not None:
                opened = partial(self._offers.open, fields["sample"], fields["frame"])
                rgb, told["frame"], told["frames"] = await asyncio.to_thread(opened)
                told["file"] = png(rgb)
            else:
                rgb = await asyncio.to_thread(decoded, file.tobytes(), LIMITS["image_pixels"])
            picture = await self._embedded(rgb)
        if picture is None:
            return None
        self._replace(picture)
        told |= {"image": self._image, "width": picture.width, "height": picture.height}
        return told | {"milliseconds": 1e3 * (time.perf_counter() - begin)}

    async def _embedded(self, rgb: UInt8[np.ndarray, "h w 3"]) -> Picture | None:
        """The picture; None if the tab was closed meanwhile."""
        picture = ModelPicture(self._predictor, self._embeddings, self._jobs, rgb)
        return picture if await _result(picture.embed()) is not None else None

    def _replace(self, picture: Picture) -> None:
        self._stop_running()
        if self._picture is not None:
            self._picture.close()
        self._picture = picture
        self._image += 1

    def _stop_running(self) -> None:
        for _, future in self._running.values():
            future.cancel()

    def _watch(self, on: bool) -> Arrays:
        if self._live is None:
            raise MessageError("watch: no camera is shown, see fpt-web --live")
        if self._watching is not None:
            self._watching.cancel()
        self._watching = asyncio.create_task(self._show_live()) if on else None
        return {}

    async def _show_live(self) -> None:
        """Send the newest frames, at most so many a second, and no faster than they are taken; what
        cannot be read is passed over. Until the first it says what it waits for."""
        assert self._live is not None
        shown, told = "", None
        while True:
            frame, message = None, ""
            try:
                frame = await asyncio.to_thread(self._live.newest, shown)
            except ImageError as error:
                message = "" if shown else f"The camera's image {error}"
            about = {"model": self._live.model(), "message": message}
            if frame is not None or about != told:
                shown, jpeg = (frame.stamp, frame.jpeg) if frame else (shown, NO_BYTES)
                await self._send(pack({"kind": "frame", "stamp": shown, **about}, {"file": jpeg}))
                told = about
            await asyncio.sleep(1 / FRAMES_A_SECOND)


def _stops(newer: Request, older: Request) -> bool:
    """Whether a request stops an older one of its kind that is being computed: a long one, or one
    about more points (the page asks about few while something is dragged)."""
    return newer.kind in LONG or len(newer.arrays["points"]) < len(older.arrays["points"])


async def _result(future: Future[Any]) -> Any:
    """What it ends with; None if it is cancelled."""
    waited = asyncio.wrap_future(future)
    await asyncio.wait([waited])
    return None if waited.cancelled() else waited.result()


def _told(error: Exception) -> str:
    """What the page is told of an error: all of one that it could have caused."""
    if isinstance(error, (ValueError, OSError, RuntimeError, TimeoutError)):
        return str(error)
    logger.exception("a request failed", exc_info=error)
    return f"the request failed: {type(error).__name__}: {error}"
