# SPDX-License-Identifier: Apache-2.0
"""How fast the page without a server answers in headless Chromium, on this machine.

    make web-static
    python benchmarks/web_static.py [web-static]

A script asks the engine in the tab as the page does while one points and drags: 60 times a second,
where only the newest question is answered.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

from fpt_ros.inference.view import grid_points

FIELD = grid_points(640, 480, 20, 15)
"""As the page asks while something is dragged (COARSE in static/asking.js)."""
CONNECT = """async () => {
  const begin = performance.now();
  globalThis.engine = await (await import("/tab_engine.js")).connect();
  globalThis.picture = await engine.openSample("drawer");
  await engine.predict({ image: picture.image, pokes: [[274, 300, -33, -8]], points: [[241, 263]],
    cameraMoving: false });
  return performance.now() - begin;
}"""
OWN_PICTURE = """async () => {
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  canvas.getContext("2d").drawImage(picture.bitmap, 0, 0);
  const blob = await canvas.convertToBlob();
  const took = [];
  for (let i = 0; i < 2; i++) {
    const begin = performance.now();
    picture = await engine.openFile(blob);
    took.push(performance.now() - begin);
  }
  return took;
}"""
MEANS = """async (points) => {
  const asked = { image: picture.image, pokes: [[274, 300, -33, -8], [330, 310, 40, 10]], points };
  return [...(await engine.field({ ...asked, cameraMoving: false })).mean];
}"""
FUTURES = """async (points) => {
  const begin = performance.now();
  await engine.sample({ image: picture.image, pokes: [[274, 300, -33, -8]], points,
    cameraMoving: false }, 4, 1);
  return performance.now() - begin;
}"""
ASK = """async ([kinds, field, seconds]) => {
  const took = Object.fromEntries(kinds.map((kind) => [kind, []]));
  const replaced = Object.fromEntries(kinds.map((kind) => [kind, 0]));
  const asked = [];
  for (let move = 0; move < 60 * seconds; move++) {
    const angle = move / 20;
    const pokes = [[274, 300, 30 * Math.cos(angle), 30 * Math.sin(angle)]];
    for (const kind of kinds) {
      const points = kind === "field" ? field : [[241 + 30 * Math.sin(angle), 290]];
      const begin = performance.now();
      const question = { image: picture.image, pokes, points, cameraMoving: false };
      asked.push(engine[kind](question).then((answer) => {
        if (answer) took[kind].push(performance.now() - begin);
        else replaced[kind]++;
      }));
    }
    await new Promise((resolve) => setTimeout(resolve, 1000 / 60));
  }
  await Promise.all(asked);
  return [took, replaced];
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("web-static"))
    parser.add_argument("--seconds", type=float, default=20, help="of each part")
    arguments = parser.parse_args()
    if not (arguments.folder / "tab_engine.js").is_file():
        sys.exit(f"{arguments.folder} holds no such page: make web-static makes it")
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        command, cwd=arguments.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        found = re.search(r"http://[\d.:]+/", server.stdout.readline())
        try:
            if found is None:
                sys.exit("the file server did not start")
            measure_at(found.group(), arguments.seconds)
        finally:
            server.terminate()


def measure_at(address: str, seconds: float) -> None:
    """Print all figures of the page there."""
    names = ("chromium", "chromium-browser", "google-chrome")
    chromium = next(filter(None, (shutil.which(name) for name in names)), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        page.route("**/empty", lambda route: route.fulfill(body="", content_type="text/html"))
        page.goto(address + "empty")  # the modules alone: the page itself asks nothing meanwhile
        measure(page, seconds)
        browser.close()


def measure(page: Page, seconds: float) -> None:
    print(f"first answer, files from this machine: {page.evaluate(CONNECT):.0f} ms")
    print(
        "while one ...  what      p50   p95   max [ms]  answered  replaced, "
        f"{len(FIELD)} points a field"
    )
    for doing, kinds in (("points", ["predict"]), ("drags", ["predict", "field"])):
        ask(page, kinds, 2.0)  # the first answers are slower
        for kind, (took, replaced) in ask(page, kinds, seconds).items():
            p50, p95, most = np.percentile(took, [50, 95, 100])
            print(
                f"{doing:14} {kind:8} {p50:5.0f} {p95:5.0f} {most:5.0f}       "
                f"{len(took):7} {replaced:9}"
            )
    points = grid_points(640, 480, 12, 9).tolist()
    print(f"four futures of {len(points)} points: {page.evaluate(FUTURES, points):.0f} ms")
    beforehand = np.array(page.evaluate(MEANS, FIELD.tolist()))
    first, again = page.evaluate(OWN_PICTURE)
    print(f"a picture of one's own: {first:.0f} ms the first time, then {again:.0f} ms")
    difference = np.abs(page.evaluate(MEANS, FIELD.tolist()) - beforehand).max()
    print(
        f"means of the picture embedded beforehand (float16) are off by at most {difference:.3f} "
        f"pixels, of motions up to {np.abs(beforehand).max():.0f}"
    )


def ask(page: Page, kinds: list[str], seconds: float) -> dict[str, tuple[Any, int]]:
    """Of each kind, the times from question to answer [ms], and how many were replaced."""
    took, replaced = page.evaluate(ASK, [kinds, FIELD.tolist(), seconds])
    return {kind: (took[kind], replaced[kind]) for kind in kinds}


if __name__ == "__main__":
    main()
