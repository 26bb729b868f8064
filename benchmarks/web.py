# SPDX-License-Identifier: Apache-2.0
"""How fast the demo in the browser answers while one points and drags, on this machine.

    python benchmarks/web.py [--checkpoint hub:OWNER/NAME/FILE]

The server runs as a process. A client asks as the page does, at the rate at which a pointer moves:
what follows the pointer alone, the whole field alone, and both, as while an arrow is dragged. The
server's processor time says what an answer costs where other programs share the cores.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from fpt_ros.inference.view import grid_points
from fpt_ros.web.messages import pack, unpack

ROOT = Path(__file__).resolve().parents[1]
PERIOD = 1 / 60  # seconds between two moves of the pointer
FIELD = grid_points(640, 480, 20, 15)
"""As the page asks while something is dragged (COARSE in static/asking.js)."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each part")
    parser.add_argument("--checkpoint", default="embedded")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "fpt_ros.web", "--port", "0"]
    command += ["--checkpoint", arguments.checkpoint]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        found = re.search(r"http://\S+/", server.stdout.readline())
        try:
            if found is None:
                sys.exit("the server did not start")
            asyncio.run(measure(found.group(), server.pid, arguments.seconds))
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
