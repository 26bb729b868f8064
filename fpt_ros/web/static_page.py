# SPDX-License-Identifier: Apache-2.0
"""One page without a server: a folder that any file server can host, with the whole model.

Nothing leaves the tab: the model runs in it. See docs/web.md.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import torch

from fpt_ros.command_line import CommandParser
from fpt_ros.export.checking import Stages
from fpt_ros.inference.view import View
from fpt_ros.web.messages import STATIC
from fpt_ros.web.offers import shipped
from fpt_ros.web.runtime_package import copy_runtime

STAGES = ("image", "predict")
LARGE = 200e6
"""Bytes of a page that visitors from afar will not wait for."""
SERVER_ONLY = ("server_engine.js", "connection.js", "messages.js", "messages.json")
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy: the page asks nothing of other hosts."""


def build(folder: Path, exported: Path) -> None:
    """Write the page; an older one in the folder is replaced.

    Args:
        folder: made if it is not there; if it is, it must hold such a page, or nothing.
        exported: what `fpt-export --onnx` wrote.

    Raises:
        ValueError: the folder holds something else.
        OSError: the export is not there.
        RuntimeError: onnxruntime-web cannot be fetched.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "tab_engine.js").is_file():
        raise ValueError(f"{folder} is not empty and holds no such page: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(STATIC, folder, ignore=shutil.ignore_patterns(*SERVER_ONLY))
    copy_runtime(folder / "ort")
    (folder / "model").mkdir()
    for name in ("model.json", *(f"{stage}.onnx" for stage in STAGES)):
        shutil.copy(exported / name, folder / "model" / name)
    embed_samples(folder / "samples", folder / "model")
    index = folder / "index.html"
    index.write_text(with_tab_engine(index.read_text()))


def with_tab_engine(html: str) -> str:
    """The page's HTML with the other engine, and a policy that keeps it from other hosts."""
    server, tab = (f'<meta name="engine" content="./{n}_engine.js" />' for n in ("server", "tab"))
    assert server in html
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    return html.replace(server, f"{tab}\n    {policy}")


def embed_samples(folder: Path, model: Path) -> None:
    """Each sample's tensors, embedded beforehand: NAME.f16 has the outputs of the stage `image`,
    one after the other, little-endian float16 (see docs/web_static.md)."""
    stages = Stages(model)
    size = json.loads((model / "model.json").read_text())["view_size"]
    for offer in shipped():
        rgb = torch.from_numpy(offer.read(0))
        square = View(rgb.shape[1], rgb.shape[0]).square(rgb, size)
        tensors = stages.run("image", {"images": square.numpy()})
        with (folder / f"{offer.name}.f16").open("wb") as file:
            for tensor in tensors.values():
                file.write(np.ascontiguousarray(tensor, "<f2").tobytes())


def main(arguments: list[str] | None = None) -> None:
    """Build the page as the command line says."""
    parser = CommandParser(prog="python -m fpt_ros.web.static_page", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("web-static"), help="folder of the page")
    parser.add_argument(
        "--model", type=Path, required=True, help="folder that fpt-export --onnx wrote"
    )
    options = parser.parse_args(arguments)
    try:
        build(options.out, options.model)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"{parser.prog}: {error}")
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: {size / 1e6:.0f} MB; python -m http.server -d {options.out} shows it")
    if size > LARGE:
        print("so large a model needs minutes to load from afar and seconds an answer: see fpt-web")


if __name__ == "__main__":
    main()
