# SPDX-License-Identifier: Apache-2.0
"""What `fpt-export` writes, used as its description says, beside the library."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from fpt_ros import Predictor
from fpt_ros.export import __main__ as command
from fpt_ros.export.checking import TOLERANCE, Stages, largest_difference
from fpt_ros.model import load_checkpoint

WIDTH, HEIGHT = 320, 240
POKES = np.array([[200.0, 120.0, 25.0, -10.0], [90.0, 60.0, 0.0, 0.0]])
POINTS = np.array([[210.0, 130.0], [40.0, 40.0], [300.0, 200.0]])
FIELDS = ("logits", "locs", "scale_tril")


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    random = np.random.default_rng(3)
    coarse = torch.from_numpy(random.uniform(0, 255, (1, 3, 6, 8)))
    smooth = torch.nn.functional.interpolate(coarse, (HEIGHT, WIDTH), mode="bilinear")
    return smooth[0].permute(1, 2, 0).round().byte().numpy()


@pytest.fixture(scope="module")
def description(exported) -> dict:
    return json.loads((exported / "model.json").read_text())


def as_described(exported, description, picture) -> dict[str, np.ndarray]:
    """A request of the stages, made of pixels as `model.json` says."""
    side, left = HEIGHT, (WIDTH - HEIGHT) // 2
    square = torch.from_numpy(picture[:, left : left + side]).float().permute(2, 0, 1)[None]
    size = (description["view_size"],) * 2
    resized = torch.nn.functional.interpolate(square, size, mode="bilinear", antialias=True)

    def position(points):
        return ((points + 0.5 - [left, 0]) / side)[None].astype(np.float32)

    session = onnxruntime.InferenceSession(exported / description["stages"]["image"]["file"])
    names = [output["name"] for output in description["stages"]["image"]["outputs"]]
    image = session.run(names, {"images": (resized / 127.5 - 1).numpy()})
    return dict(zip(names, image, strict=True)) | {
        "poke_pos": position(POKES[:, :2]),
        "poke_flow": (POKES[:, 2:] / side)[None].astype(np.float32),
        "query_pos": position(POINTS),
        "lengths": np.array([[len(POKES)]]),
        "camera_static": np.array([True]),
    }


def run(exported, description, stage: str, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    told = description["stages"][stage]
    session = onnxruntime.InferenceSession(exported / told["file"])
    names = [output["name"] for output in told["outputs"]]
    inputs = {entry["name"]: given[entry["name"]] for entry in told["inputs"]}
    return dict(zip(names, session.run(names, inputs), strict=True))


@pytest.mark.parametrize("way", ["predict", "pokes, then query"])
def test_pixels_by_the_description_give_the_predictors_numbers(exported, description, picture, way):
    given = as_described(exported, description, picture)
    stage = "predict"
    if way != "predict":
        given |= run(exported, description, "pokes", given)
        stage = "query"
    ours = run(exported, description, stage, given)
    predictor = Predictor.from_checkpoint(device="cpu", dtype="float32")
    wanted = predictor.predict(predictor.embed(picture), POKES, POINTS)
    for name in FIELDS:
        unit = 1 if name == "logits" else HEIGHT
        np.testing.assert_allclose(ours[name][0], vars(wanted)[name].numpy() / unit, atol=TOLERANCE)


@torch.no_grad()
def test_torch_export_writes_programs_that_pytorch_loads(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr(command, "STAGES", ["image"])  # the others take long
    command.main(["--torch-export", str(tmp_path), "--checkpoint", str(tiny_checkpoint)])
    model = load_checkpoint(tiny_checkpoint, device="cpu", dtype="float32")
    square = torch.rand(1, 3, 64, 64)
    features, *_ = torch.export.load(tmp_path / "image.pt2").module()(square)
    torch.testing.assert_close(features, model.embed_image(square).features, atol=1e-5, rtol=0)


def test_description_says_what_the_files_are(exported, description):
    for name, stage in description["stages"].items():
        data = (exported / stage["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == stage["sha256"]
        session = onnxruntime.InferenceSession(data)
        for told, found in (
            (stage["inputs"], session.get_inputs()),
            (stage["outputs"], session.get_outputs()),
        ):
            assert [(t["name"], t["shape"]) for t in told] == [(f.name, f.shape) for f in found]
            assert all(t["meaning"] for t in told), name
    assert description["license"] == "Apache-2.0"
    assert description["sha256"] == load_checkpoint(device="cpu").provenance.sha256
    assert description["config"]["motion_threshold"] == load_checkpoint().config.motion_threshold


def test_a_wrong_file_is_found(exported, tmp_path):
    model = load_checkpoint(device="cpu", dtype="float32")
    for name in ("image", "predict"):
        shutil.copy(exported / f"{name}.onnx", tmp_path)
    assert largest_difference(model, Stages(tmp_path)) < TOLERANCE
    damaged = onnx.load(tmp_path / "predict.onnx")
    weight = max(damaged.graph.initializer, key=lambda tensor: len(tensor.raw_data))
    values = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(damaged, tmp_path / "predict.onnx")
    assert largest_difference(model, Stages(tmp_path)) > TOLERANCE


@pytest.mark.parametrize(
    "arguments, status, words",
    [
        ([], 2, "--onnx"),
        (["--onnx", "x", "--checkpoint", "missing.safetensors"], "fpt-export: ", "missing"),
    ],
)
def test_wrong_arguments_get_one_line(arguments, status, words, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    line = capsys.readouterr().err if status == 2 else stopped.value.code
    assert words in line and line.strip().count("\n") == 0
    assert stopped.value.code == status if status == 2 else line.startswith(status)
