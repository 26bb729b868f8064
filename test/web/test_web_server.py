# SPDX-License-Identifier: Apache-2.0
"""Who may use the server, what it refuses, and how tabs share it. Without a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fpt_ros import Predictor
from fpt_ros.encodings import ImageError
from fpt_ros.web.addresses import refusal
from fpt_ros.web.embeddings import Embeddings, Pixels
from fpt_ros.web.messages import DESCRIPTION, LIMITS, pack, unpack
from fpt_ros.web.offers import Offers, decoded, png
from fpt_ros.web.server import make_app

FIXTURES = Path(__file__).parents[1] / "fixtures/images"
POKE = np.array([[300, 200, 20, 0]], np.float32)
POINTS = np.array([[310, 210]], np.float32)


class Tab:
    """A tab without a page."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse) -> None:
        self.connection = connection
        self._number = 0

    async def send(self, kind: str, fields: dict[str, Any], **arrays: np.ndarray) -> int:
        self._number += 1
        await self.connection.send_bytes(pack({"kind": kind, "id": self._number, **fields}, arrays))
        return self._number

    async def receive(self) -> dict[str, Any]:
        header, arrays = unpack(await self.connection.receive_bytes(timeout=30))
        described = DESCRIPTION["answers"][header["kind"]]
        assert header.keys() - {"kind", "id"} <= described["fields"].keys()
        assert arrays.keys() <= described["arrays"].keys()
        return {**header, **arrays}

    async def ask(self, kind: str, fields: dict[str, Any], **arrays: np.ndarray) -> dict[str, Any]:
        await self.send(kind, fields, **arrays)
        return await self.receive()

    async def open(self) -> dict[str, Any]:
        """Open the drawer; what every question about it has."""
        answer = await self.ask("open", {"sample": "drawer"})
        return {"image": answer["image"], "camera_moving": False}


def with_server(tiny: Path, test: Callable[[TestServer], Awaitable[None]]) -> None:
    async def run() -> None:
        app: web.Application = make_app(Predictor.from_checkpoint(tiny), Offers())
        async with TestServer(app) as server:
            await test(server)

    # In a thread of its own: the browser's tests keep an event loop running in this one.
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, run()).result()


def with_tabs(tiny: Path, count: int, test: Callable[..., Awaitable[None]]) -> None:
    """Run the test with so many tabs, each greeted."""

    async def run(server: TestServer) -> None:
        async with aiohttp.ClientSession() as session:
            tabs = []
            for _ in range(count):
                connection = await session.ws_connect(server.make_url("/socket"), max_msg_size=0)
                tabs.append(Tab(connection))
                assert (await tabs[-1].receive())["kind"] == "hello"
            await test(*tabs)

    with_server(tiny, run)


@pytest.mark.parametrize(
    ("host_header", "origin", "host", "refused"),
    [
        ("127.0.0.1:8765", None, "127.0.0.1", False),
        ("localhost:8765", "http://localhost:8765", "127.0.0.1", False),
        ("[::1]:8765", "http://[::1]:8765", "::1", False),
        ("localhost:8765", "https://evil.example", "127.0.0.1", True),
        ("localhost:8765", "http://localhost:9999", "127.0.0.1", True),
        ("localhost:8765", "null", "127.0.0.1", True),
        ("evil.example:8765", "http://evil.example:8765", "127.0.0.1", True),  # rebinding
        ("evil.example:8765", "http://evil.example:8765", "0.0.0.0", True),
        ("192.168.0.7:8765", "http://192.168.0.7:8765", "127.0.0.1", True),
        ("192.168.0.7:8765", "http://192.168.0.7:8765", "0.0.0.0", False),
        ("robot.local", "http://robot.local", "robot.local", False),
        ("", None, "127.0.0.1", True),
    ],
)
def test_only_its_own_page_may_use_it(
    host_header: str, origin: str | None, host: str, refused: bool
):
    assert bool(refusal(host_header, origin, host)) == refused


def test_another_page_gets_neither_socket_nor_files(tiny_checkpoint: Path):
    async def test(server: TestServer) -> None:
        async with aiohttp.ClientSession() as session:
            evil = {"Origin": "https://evil.example"}
            for headers in (evil, {"Host": "evil.example"}):
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(server.make_url("/socket"), headers=headers)
                assert refused.value.status == 403
                assert (await session.get(server.make_url("/"), headers=headers)).status == 403
            answer = await session.get(server.make_url("/"))
            assert answer.status == 200
            assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]

    with_server(tiny_checkpoint, test)


def test_paths_stay_within_what_is_offered(tiny_checkpoint: Path):
    async def test(server: TestServer) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        for path in (
            "/../server.py",
            "/%2e%2e/server.py",
            "/samples/../../server.py",
            "//etc/passwd",
        ):
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
            status = await reader.readline()
            assert b" 404 " in status or b" 403 " in status, path
            length = 0
            while (line := await reader.readline()).strip():
                name, _, value = line.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            await reader.readexactly(length)
        writer.close()

    with_server(tiny_checkpoint, test)

    async def by_name(tab: Tab) -> None:
        for name in ("../samples/drawer.jpg", "/etc/passwd", "folder/x", ""):
            answer = await tab.ask("open", {"sample": name})
            assert answer["kind"] == "error" and "offered" in answer["message"]

    with_tabs(tiny_checkpoint, 1, by_name)


def test_uploads_are_bounded_before_they_are_decoded(tiny_checkpoint: Path):
    async def test(tab: Tab) -> None:
        bomb = np.frombuffer((FIXTURES / "png_header_60000x60000.png").read_bytes(), np.uint8)
        answer = await tab.ask("open", {}, file=bomb)
        assert answer["kind"] == "error" and "60000 x 60000" in answer["message"]
        for data in (b"", b"no picture", (FIXTURES / "truncated_half.jpg").read_bytes()):
            answer = await tab.ask("open", {}, file=np.frombuffer(data, np.uint8))
            assert answer["kind"] == "error"
        picture = png(np.full((40, 60, 3), 200, np.uint8))
        answer = await tab.ask("open", {}, file=picture)
        assert (answer["width"], answer["height"]) == (60, 40)
        with suppress(ConnectionError):  # it may be closed while this is sent
            await tab.send("open", {}, file=np.zeros(LIMITS["message_bytes"] + 1, np.uint8))
        ended = (await tab.connection.receive(timeout=30)).type
        assert ended in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)

    with_tabs(tiny_checkpoint, 1, test)


def test_half_a_picture_is_none():
    """Also where it says that it is whole, and however EXIF turns it."""
    data = (FIXTURES / "exif_orientation_6.jpg").read_bytes()
    assert decoded(data, 10**6).shape == (160, 120, 3)
    with pytest.raises(ImageError, match="jpeg that is cut off"):
        decoded(data[: len(data) // 2] + b"\xff\xd9", 10**6)
    damaged = bytearray(png(decoded(data, 10**6)))
    damaged[len(damaged) // 2] ^= 255
    with pytest.raises(ImageError, match="damaged png"):
        decoded(bytes(damaged), 10**6)


def test_a_bad_message_gets_a_message_and_nothing_else(tiny_checkpoint: Path):
    bad: list[tuple[str, dict[str, Any], dict[str, np.ndarray], str]] = [
        ("dance", {}, {}, "kind is 'dance'"),
        ("predict", {"image": 1}, {}, "camera_moving is None"),
        ("predict", {"image": True, "camera_moving": False}, {}, "image is True"),
        ("predict", {"image": 99, "camera_moving": False}, {}, "not open"),
        ("predict", {"image": 1, "camera_moving": False, "x": 1}, {}, "x is not a field"),
        ("predict", {}, {"points": POINTS[:, :1]}, "points has"),
        ("predict", {}, {"points": np.array([[np.nan, 1]], np.float32)}, "nan"),
        ("predict", {}, {"points": np.array([[9999, 1]], np.float32)}, "9999"),
        ("predict", {}, {"points": np.zeros((5000, 2), np.float32)}, "5000 rows"),
        ("predict", {}, {"wrong": POINTS}, "wrong is not an array"),
        ("sample", {"samples": 9, "seed": 1}, {"points": POINTS}, "samples"),
        ("sample", {"samples": 0, "seed": 1}, {"points": POINTS}, "samples"),
        ("plan", {"reach": -1.0, "tolerance": 1.0}, {"points": POINTS, "goals": POINTS}, "reach"),
        ("watch", {"on": True}, {}, "no camera"),
    ]

    async def test(tab: Tab) -> None:
        given = await tab.open()
        for kind, fields, arrays, said in bad:
            fields = {
                **({} if "image" in fields or kind in ("watch", "dance") else given),
                **fields,
            }
            answer = await tab.ask(kind, fields, **arrays)
            assert answer["kind"] == "error" and said in answer["message"], (kind, answer)
        for data in (b"", b"\xff\xff\xff\xff", b"\2\0\0\0{}", pack({"kind": "open"}, {})):
            await tab.connection.send_bytes(data)
            assert (await tab.receive())["kind"] == "error"
        await tab.connection.send_str("hello")
        assert "binary" in (await tab.receive())["message"]
        answer = await tab.ask("predict", given, pokes=POKE, points=POINTS)
        assert answer["kind"] == "predict" and answer["means"].shape == (1, 4, 2)

    with_tabs(tiny_checkpoint, 1, test)


def test_answers_are_the_predictor_s(tiny_checkpoint: Path):
    predictor = Predictor.from_checkpoint(tiny_checkpoint)

    async def test(tab: Tab) -> None:
        answer = await tab.ask("open", {"sample": "drawer"})
        context = predictor.embed(decoded(answer["file"].tobytes(), 10**6))
        given = {"image": answer["image"], "camera_moving": True}
        answer = await tab.ask("predict", given, pokes=POKE, points=POINTS)
        expected = predictor.predict(context, POKE, POINTS, camera_moving=True)
        mean = np.einsum("nk,nkd->nd", answer["weights"], answer["means"])
        assert np.abs(mean - expected.mean.numpy()).max() < 1e-3
        answer = await tab.ask(
            "sample", {**given, "samples": 2, "seed": 3}, pokes=POKE, points=POINTS
        )
        expected = predictor.sample(context, POKE, POINTS, 2, seed=3, camera_moving=True)
        assert np.abs(answer["displacements"] - expected).max() < 1e-3

    with_tabs(tiny_checkpoint, 1, test)


def test_only_the_newest_request_of_a_kind_is_computed(tiny_checkpoint: Path):
    async def test(tab: Tab) -> None:
        given = await tab.open()
        grid = np.random.default_rng(0).uniform(0, 400, (1000, 2)).astype(np.float32)
        sent = [await tab.send("field", given, pokes=POKE, points=grid) for _ in range(20)]
        kinds = {}
        for _ in sent:
            answer = await tab.receive()
            kinds[answer["id"]] = answer["kind"]
        assert kinds[sent[-1]] == "field"
        assert list(kinds.values()).count("replaced") >= 15
        long = {**given, "samples": 8, "seed": 1}
        first = await tab.send("sample", long, pokes=POKE, points=grid)
        second = await tab.send("sample", long, pokes=POKE, points=POINTS)
        kinds = {
            answer["id"]: answer["kind"] for answer in [await tab.receive(), await tab.receive()]
        }
        assert kinds == {first: "replaced", second: "sample"}
        many = await tab.send("field", given, pokes=POKE, points=np.tile(grid, (4, 1)))
        await asyncio.sleep(0.05)  # it is begun
        few = await tab.send("field", given, pokes=POKE, points=POINTS)
        kinds = {
            answer["id"]: answer["kind"] for answer in [await tab.receive(), await tab.receive()]
        }
        assert kinds == {many: "replaced", few: "field"}

    with_tabs(tiny_checkpoint, 1, test)


def test_a_tab_with_much_to_compute_does_not_hold_up_another(tiny_checkpoint: Path):
    async def test(busy: Tab, other: Tab) -> None:
        given, mine = await busy.open(), await other.open()
        grid = np.random.default_rng(0).uniform(0, 400, (1000, 2)).astype(np.float32)
        await busy.send("sample", {**given, "samples": 8, "seed": 1}, pokes=POKE, points=grid)
        waiting = asyncio.create_task(busy.receive())
        for _ in range(5):
            answer = await other.ask("predict", mine, pokes=POKE, points=POINTS)
            assert answer["kind"] == "predict"
        assert not waiting.done()
        waiting.cancel()

    with_tabs(tiny_checkpoint, 2, test)


def test_embedded_pictures_take_bounded_memory(tiny_checkpoint: Path):
    predictor = Predictor.from_checkpoint(tiny_checkpoint)
    noise = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), np.uint8)
    pictures = [Pixels(rgb) for rgb in noise]
    one = predictor.embed(noise[0]).nbytes
    embeddings = Embeddings(predictor, most_bytes=2 * one)
    held = [embeddings.of(picture) for picture in pictures]
    assert embeddings.nbytes == 2 * one
    assert embeddings.of(pictures[2]) is held[2]
    again = embeddings.of(pictures[0])  # was forgotten
    assert again is not held[0] and (again.embedded.features == held[0].embedded.features).all()
    del pictures
    assert embeddings.nbytes == 0


def test_a_closed_tab_costs_nothing(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch):
    drawn = []
    steps = Predictor.sample_steps

    def counted(self: Predictor, *args: Any, **kwargs: Any) -> Any:
        for step in steps(self, *args, **kwargs):
            drawn.append(step)
            yield step

    monkeypatch.setattr(Predictor, "sample_steps", counted)

    async def test(tab: Tab) -> None:
        given = await tab.open()
        grid = np.random.default_rng(0).uniform(0, 400, (1000, 2)).astype(np.float32)
        await tab.send("sample", {**given, "samples": 8, "seed": 1}, pokes=POKE, points=grid)
        while len(drawn) < 3:
            await asyncio.sleep(0.01)
        await tab.connection.close()
        await asyncio.sleep(0.2)
        count = len(drawn)
        await asyncio.sleep(0.3)
        assert len(drawn) == count < 900

    with_tabs(tiny_checkpoint, 1, test)
