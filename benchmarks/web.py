# SPDX-License-Identifier: Apache-2.0
"""How fast the demo in the browser answers while one points and drags, on this machine.

    python benchmarks/web.py [--checkpoint hub:OWNER/NAME/FILE | --random]

The server runs as a process. A client asks as the page does, at the rate at which a pointer moves:
what follows the pointer alone, the whole field alone, and both, as while an arrow is dragged. The
server's processor time says what an answer costs where other programs share the cores. Then the
longer questions, once each.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from fpt_ros.inference.view import grid_points
from fpt_ros.model import FlowPokeTransformer, ModelConfig
from fpt_ros.model.checkpoint import save_checkpoint
from fpt_ros.web.messages import pack, unpack

ROOT = Path(__file__).resolve().parents[1]
PERIOD = 1 / 60  # seconds between two moves of the pointer
FIELD = grid_points(640, 480, 20, 15)
"""As the page asks while something is dragged (COARSE in static/asking.js)."""
LONG: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a picture, opened": ({"kind": "open", "sample": "drawer"}, {}),
    "a field at rest": (
        {"kind": "field"},
        {"pokes": [[274, 300, -33, -8]], "points": grid_points(640, 480, 48, 36)},
    ),
    "four futures": (
        {"kind": "sample", "samples": 4, "seed": 1},
        {"pokes": [[274, 300, -33, -8]], "points": grid_points(640, 480, 12, 9)},
    ),
    "the best pushes": (
        {"kind": "plan", "reach": 50, "tolerance": 13},
        {"points": [[274, 300]], "goals": [[-33, -8]], "stay": [[120, 100]]},
    ),
}
"""As the page asks: the message's header and its arrays."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each part")
    parser.add_argument("--checkpoint", default="embedded")
    parser.add_argument(
        "--random", action="store_true", help="weights of the released names and shapes, at random"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = arguments.checkpoint
        if arguments.random:
            checkpoint = f"{folder}/random.safetensors"
            save_checkpoint(FlowPokeTransformer(ModelConfig()), checkpoint)
        serve(checkpoint, arguments.seconds)


def serve(checkpoint: str, seconds: float) -> None:
    """Measure a server of this checkpoint."""
    command = [sys.executable, "-m", "fpt_ros.web", "--port", "0", "--checkpoint", checkpoint]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+/", server.stdout.readline())
        try:
            if found is None:
                sys.exit("the server did not start")
            asyncio.run(measure(found.group(), server.pid, seconds))
        finally:
            server.terminate()


async def measure(address: str, pid: int, seconds: float) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(address + "socket", max_msg_size=0) as connection,
    ):
        header, _ = unpack(await connection.receive_bytes())
        print(
            f"{header['model']['name']} on {header['model']['where']}, {len(FIELD)} points a field"
        )
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
        print("asked about     what       p50   p95   max [ms]  answered  replaced")
        await connection.send_bytes(pack({"kind": "open", "id": 0, "sample": "drawer"}, {}))
        image = unpack(await connection.receive_bytes())[0]["image"]
        for kinds in (["predict"], ["field"], ["predict", "field"]):
            await ask_for(connection, image, kinds, 2.0)  # the first answers are slower
            before = processor_time(pid)
            found = await ask_for(connection, image, kinds, seconds)
            for kind, (took, replaced) in found.items():
                p50, p95, most = np.percentile(took, [50, 95, 100])
                print(
                    f"{' + '.join(kinds):15} {kind:8} {p50:5.0f} {p95:5.0f} {most:5.0f}       "
                    f"{len(took):7} {replaced:9}"
                )
            each = (processor_time(pid) - before) / sum(len(took) for took, _ in found.values())
            print(f"{'':15} {1e3 * each:.0f} ms of the server's processor time an answer")
        await ask_long(connection, image)
        print(f"the server's memory: {memory(pid) / 1e9:.1f} GB at most")


async def ask_long(connection: aiohttp.ClientWebSocketResponse[bool], image: int) -> None:
    """Print how long each of `LONG` takes, from question to answer; the picture is opened last."""
    for name in reversed(LONG):
        header, arrays = LONG[name]
        about = {} if header["kind"] == "open" else {"image": image, "camera_moving": False}
        begin = time.perf_counter()
        values = {key: np.array(value, np.float32) for key, value in arrays.items()}
        await connection.send_bytes(pack({"id": 0, **header, **about}, values))
        answer, _ = unpack(await connection.receive_bytes())
        assert answer["kind"] == header["kind"], answer
        print(f"{name}: {time.perf_counter() - begin:.2f} s")


def memory(pid: int) -> float:
    """Of a process, the most that it has had, bytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return 1024 * int(found.group(1))


def processor_time(pid: int) -> float:
    """Of all threads of a process, seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def ask_for(
    connection: aiohttp.ClientWebSocketResponse[bool], image: int, kinds: list[str], seconds: float
) -> dict[str, tuple[list[float], int]]:
    """Of each kind, the times from question to answer [ms], and how many were replaced."""
    sent: dict[int, tuple[str, float]] = {}
    waiting: dict[str, float] = {}  # asked, but not sent: as on the page, two are under way
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    replaced = dict.fromkeys(kinds, 0)
    numbers = itertools.count(1)

    async def advance(kind: str) -> None:
        if kind in waiting and sum(kind == other for other, _ in sent.values()) < 2:
            number = next(numbers)
            sent[number] = kind, waiting.pop(kind)
            await connection.send_bytes(question(kind, number, image))

    async def receive() -> None:
        while True:
            header, _ = unpack(await connection.receive_bytes())
            kind, begin = sent.pop(header["id"])
            if header["kind"] == "replaced":
                replaced[kind] += 1
            else:
                assert header["kind"] == kind, header
                took[kind].append(1e3 * (time.perf_counter() - begin))
            await advance(kind)

    receiving = asyncio.create_task(receive())
    begin = time.perf_counter()
    for move in range(round(seconds / PERIOD)):
        for kind in kinds:
            replaced[kind] += kind in waiting
            waiting[kind] = time.perf_counter()
            await advance(kind)
        await asyncio.sleep(max(0, begin + (move + 1) * PERIOD - time.perf_counter()))
    while (sent or waiting) and not receiving.done():
        await asyncio.sleep(0.01)
    receiving.cancel()
    await asyncio.wait([receiving])
    return {kind: (took[kind], replaced[kind]) for kind in kinds}


def question(kind: str, number: int, image: int) -> bytes:
    """A push whose tip goes round, and a query point that goes along the drawer."""
    angle = number / 20
    poke = [[274, 300, 30 * np.cos(angle), 30 * np.sin(angle)]]
    query = [[241 + 30 * np.sin(angle), 290]]
    header: dict[str, Any] = {"kind": kind, "id": number, "image": image, "camera_moving": False}
    points = FIELD if kind == "field" else np.array(query, np.float32)
    return pack(header, {"pokes": np.array(poke, np.float32), "points": points})


if __name__ == "__main__":
    main()
