# SPDX-License-Identifier: Apache-2.0
"""One page without a server: a folder that any file server can host, with the whole model.

Nothing leaves the tab: the model runs in it. See docs/web.md.
"""

from __future__ import annotations

import logging
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from tqdm import tqdm

from fpt_ros.command_line import CommandParser
from fpt_ros.export.onnx_files import write_onnx
from fpt_ros.inference.view import View
from fpt_ros.model import FlowPokeTransformer, load_checkpoint
from fpt_ros.model.export import export_stages
from fpt_ros.web.messages import STATIC
from fpt_ros.web.offers import shipped
from fpt_ros.web.runtime_package import copy_runtime

STAGES = ("image", "predict")
SERVER_ONLY = ("server_engine.js", "messages.js", "messages.json")
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; "
    "base-uri 'none'; form-action 'none'"
)
"""Content-Security-Policy: the page asks nothing of other hosts."""


def build(folder: Path, model: FlowPokeTransformer) -> None:
    """Write the page with this model; an older page in the folder is replaced.

    Args:
        folder: made if it is not there; if it is, it must hold such a page, or nothing.
        model: as `load_checkpoint` gives it, on the CPU, in float32.

    Raises:
        ValueError: the folder holds something else.
        RuntimeError: onnxruntime-web cannot be fetched, or the export is not exact.
    """
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "tab_engine.js").is_file():
        raise ValueError(f"{folder} is not empty and holds no such page: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(STATIC, folder, ignore=shutil.ignore_patterns(*SERVER_ONLY))
    copy_runtime(folder / "ort")
    programs = {}
    for name in tqdm(STAGES, "Exporting", unit="stage"):
        programs |= export_stages(model, [name])
    write_onnx(model, programs, folder / "model")
    embed_samples(folder / "samples", folder / "model" / "image.onnx", model.config.image_size)
    index = folder / "index.html"
    index.write_text(with_tab_engine(index.read_text()))


def with_tab_engine(html: str) -> str:
    """The page's HTML with the other engine, and a policy that keeps it from other hosts."""
    server, tab = (
        '<meta name="engine" content="./{}_engine.js" />'.format(n) for n in ("server", "tab")
    )
    assert server in html
    policy = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}" />'
    return html.replace(server, f"{tab}\n    {policy}")


def embed_samples(folder: Path, image_stage: Path, size: int) -> None:
    """Each sample's tensors, embedded beforehand: NAME.f32 has the outputs of the stage `image`,
    one after the other, little-endian float32."""
    session = onnxruntime.InferenceSession(image_stage)
    for offer in shipped():
        rgb = torch.from_numpy(offer.read(0))
        square = View(rgb.shape[1], rgb.shape[0]).square(rgb, size)
        tensors = session.run(None, {"images": square.numpy()})
        with (folder / f"{offer.name}.f32").open("wb") as file:
            for tensor in tensors:
                file.write(np.ascontiguousarray(tensor, "<f4").tobytes())


def main(arguments: list[str] | None = None) -> None:
    """Build the page as the command line says."""
    parser = CommandParser(prog="python -m fpt_ros.web.static_page", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("web-static"), help="folder of the page")
    parser.add_argument("--checkpoint", default="embedded", help="embedded, hub:..., or a file")
    parser.add_argument("--allow-download", action="store_true", help="of a checkpoint hub:...")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # PyTorch's exporter has many, about itself
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        model = load_checkpoint(options.checkpoint, "cpu", "float32", options.allow_download)
        build(options.out, model)
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"{parser.prog}: {error}")
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    print(f"{options.out}: {size / 1e6:.0f} MB; python -m http.server -d {options.out} shows it")


if __name__ == "__main__":
    main()
