# SPDX-License-Identifier: Apache-2.0
"""Small files of the benchmarks' layouts, made here: a square that slides on a table."""

from __future__ import annotations

import json
import pickle

import cv2
import h5py
import numpy as np
import pytest

from fpt_ros.data.clips import encode_video
from fpt_ros.eval.__main__ import main
from fpt_ros.eval.benchmarks import drag_a_move, owm, spelkebench, tapvid
from fpt_ros.inference.predictor import Predictor

HEIGHT, WIDTH, FRAMES, STEP = 64, 96, 41, 0.5
GRID = np.stack(np.meshgrid(np.arange(20, 76, 4), np.arange(4, 60, 4)), -1).reshape(-1, 2)
ON_SQUARE = ((GRID >= (30, 24)) & (GRID < (54, 44))).all(1)


def video() -> np.ndarray:
    frames = np.full((FRAMES, HEIGHT, WIDTH, 3), 110, np.uint8)
    for time, frame in enumerate(frames):
        left = 30 + int(time * STEP)
        frame[24:44, left : left + 24] = 200, 40, 40
    return frames


def tracks() -> np.ndarray:
    """Pixels, centres at .5: [n, t, 2]."""
    places = np.repeat(GRID[:, None] + 0.5, FRAMES, 1).astype(np.float32)
    places[ON_SQUARE, :, 0] += np.arange(FRAMES) * STEP
    return places


@pytest.fixture(scope="module")
def tap(tmp_path_factory):
    """As TAP-Vid-DAVIS has it, and as RoboTAP has it, frames as JPEG files."""
    folder = tmp_path_factory.mktemp("tapvid")
    points = tracks() / [WIDTH, HEIGHT]
    entry = {"video": video(), "points": points, "occluded": np.zeros(points.shape[:2], bool)}
    (folder / "davis.pkl").write_bytes(pickle.dumps({"slide": entry}))
    encoded = [cv2.imencode(".jpg", frame[..., ::-1])[1].tobytes() for frame in video()]
    (folder / "robotap.pkl").write_bytes(pickle.dumps([{**entry, "video": encoded}]))
    return folder


@pytest.fixture(scope="module")
def open_world(tmp_path_factory):
    root = tmp_path_factory.mktemp("owm")
    (root / "video").mkdir()
    (root / "tapnext").mkdir()
    (root / "annotations.json").write_text(json.dumps([{"name": "slide.mp4", "startFrame": 9}]))
    (root / "video" / "slide.mp4").write_bytes(encode_video(video()))
    still = np.repeat(tracks()[~ON_SQUARE][:10], 1, 1)
    chosen = np.concatenate([still, tracks()[ON_SQUARE], tracks()[~ON_SQUARE]])[:, 1:]
    yx = (chosen / [WIDTH, HEIGHT] * 2 - 1)[..., ::-1].swapaxes(0, 1)[None].astype(np.float32)
    np.savez(root / "tapnext" / "slide_tapnext.npz", **{"tracks_yx.npy": yx})
    return root


@pytest.fixture(scope="module")
def furniture(tmp_path_factory):
    """A door, part 1, of a cupboard, part 0: it slides by 0.25 m, at 2 m, seen from straight on."""
    side, focal = 64, 64.0
    root = tmp_path_factory.mktemp("dam")
    subset = root / "StorageFurniture" / "45194" / "000_total01"
    rows, columns = np.mgrid[:side, :side].astype(float)
    cupboard = (rows >= 16) & (rows < 48) & (columns >= 8) & (columns < 56)
    camera = {
        "world2camera_rotation": np.eye(3).ravel().tolist(),
        "camera2world_translation": [0, 0, 0],
        "camera_intrinsic": [focal, 0, side / 2, 0, focal, side / 2, 0, 0, 1],
        "0_moving_links": ["link_1"],
    }
    for stage, shift in (("t000", 0.0), ("t001", 0.25)):
        name = f"c000_{stage}"
        pose = {"R": np.eye(3), "T": np.array([shift, 0, 0]), "scaler": 2 / focal}
        box = {"bbox_pose_dict": {"link_1": {"instance_id": 1, "pose_RTS_param": pose}}}
        pixels = shift / 2 * focal
        door = (rows >= 20) & (rows < 44) & (columns >= 12 + pixels) & (columns < 32 + pixels)
        parts = np.where(door, 1, np.where(cupboard, 0, -1))
        in_part = np.stack(
            [columns - side / 2 - pixels, rows - side / 2, np.full_like(rows, focal)], -1
        )
        image = np.full((side, side, 3), 255, np.uint8)
        image[parts == 0], image[parts == 1] = (60, 90, 120), (30, 40, 160)
        for folder in ("rgb", "segmentation", "npcs", "metafile", "bbox"):
            (subset / folder).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(subset / "rgb" / f"{name}.png"), image)
        np.savez(subset / "segmentation" / f"{name}.npz", instance_segmentation=parts)
        np.savez(subset / "npcs" / f"{name}.npz", npcs_map=in_part)
        (subset / "metafile" / f"{name}.json").write_text(json.dumps(camera))
        (subset / "bbox" / f"{name}.pkl").write_bytes(pickle.dumps(box))
    return root


@pytest.fixture(scope="module")
def segments(tmp_path_factory):
    path = tmp_path_factory.mktemp("spelke") / "spelke_bench.h5"
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[0, 24:44, 30:54], masks[1, 4:20, 60:90] = True, True
    with h5py.File(path, "w") as file:
        for name, names in (("one", ("rgb", "segment", "centroid")),
                            ("two", ("image", "segments_gt", "poke_location"))):  # fmt: skip
            group = file.create_group(name)
            for key, value in zip(names, (video()[0], masks, [[42, 34], [75, 12]]), strict=True):
                group[key] = value
    return path


def test_tapvid_cases_are_the_tracks_of_the_middle_square(tap):
    cases = tapvid.read(tap, 100, 0)
    assert {case.key for case in cases.each} == {"davis/slide", "robotap/0"}
    assert len(cases) == 6
    for case in cases.each:
        assert case.image.shape == (HEIGHT, HEIGHT, 3)
        expected = np.where(case.moving[:, None], [tapvid.SKIP * STEP / HEIGHT, 0], 0)
        np.testing.assert_allclose(case.flow, expected, atol=1e-5)
        assert 0 < case.moving.sum() < len(case.moving)


def test_owm_cases_go_from_the_first_judged_frame_to_the_last(open_world):
    [case] = owm.read(open_world, 5, 0).each
    assert case.key == "slide.mp4"
    np.testing.assert_allclose(case.flow[case.moving, 0], 31 * STEP / HEIGHT, atol=1e-4)
    left = 30 + int(8 * STEP) - (WIDTH - HEIGHT) // 2  # the frame before the start
    row = case.image[34].astype(int)
    assert row[left + 1, 0] > row[left - 2, 0] + 40


def test_drag_a_move_has_exact_flow(furniture):
    cases = drag_a_move.read(furniture, 3, 0)
    assert len(cases) == 3
    for case in cases.each:
        way = 0.25 / 2  # metres over depth, focal length and side alike
        assert case.moving.any() and (case.moving == case.same_body).all()
        assert (np.linalg.norm(case.flow[~case.moving], axis=-1) == 0).all()
        np.testing.assert_allclose(np.abs(case.flow[case.moving, 0]), way, atol=1e-5)


def test_spelkebench_figures(segments, model, monkeypatch):
    pictures = list(spelkebench.read(segments, 10))
    assert [len(picture.segments) for picture in pictures] == [2, 2]
    truth = {
        tuple(poke): mask for p in pictures for poke, mask in zip(p.pokes, p.segments, strict=True)
    }
    monkeypatch.setattr(spelkebench, "part_at", lambda _, __, poke: truth[tuple(poke)])
    predictor = Predictor(model)
    perfect = spelkebench.figures(predictor, segments, 10)
    assert perfect == {"pictures": 2, "AR": 1, "mIoU": 1}
    half = {poke: mask & (np.arange(WIDTH) < poke[0]) for poke, mask in truth.items()}
    monkeypatch.setattr(spelkebench, "part_at", lambda _, __, poke: half[tuple(poke)])
    found = spelkebench.figures(predictor, segments, 1)
    assert found["pictures"] == 1
    assert found["mIoU"] == pytest.approx(0.5) and found["AR"] == pytest.approx(
        1 / len(spelkebench.THRESHOLDS)
    )


@pytest.mark.parametrize("name, shown", [
    ("tapvid", "6 cases"), ("owm", "MYRIAD"), ("drag-a-move", "Moving part, mIoU"),
    ("spelkebench", "SpelkeNet"),
])  # fmt: skip
def test_one_command_each(name, shown, request, tiny_checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(spelkebench, "DIRECTIONS", 2)
    fixtures = {"tapvid": "tap", "owm": "open_world", "drag-a-move": "furniture"}
    path = request.getfixturevalue(fixtures.get(name, "segments"))
    main([
        "--benchmark", name, str(path), "--checkpoint", str(tiny_checkpoint), "--device", "cpu",
        "--out", str(tmp_path), "--cases", "1" if name == "spelkebench" else "9",
    ])  # fmt: skip
    assert shown in capsys.readouterr().out
    record = json.loads((tmp_path / f"{name}.json").read_text())
    figure = record["mIoU"] if name == "spelkebench" else record["ours"]["epe"]
    assert 0 <= figure < 1
    assert shown in (tmp_path / f"{name}.md").read_text()


def test_what_is_not_of_a_layout_is_named(tmp_path, tiny_checkpoint, capsys):
    (tmp_path / "bad.pkl").write_bytes(pickle.dumps({"clip": {"video": np.zeros((2, 4, 4, 3))}}))
    common = ["--checkpoint", str(tiny_checkpoint), "--device", "cpu", "--out", str(tmp_path)]
    for name, path, message in (
        ("tapvid", "bad.pkl", "bad/clip: no dictionary of video, points and occluded"),
        ("tapvid", ".", "bad/clip"),
        ("owm", ".", "annotations.json"),
        ("drag-a-move", ".", "no CATEGORY/INSTANCE/SUBSET/rgb there"),
        ("spelkebench", "bad.pkl", "fpt-eval: "),
    ):
        with pytest.raises(SystemExit, match=message):
            main(["--benchmark", name, str(tmp_path / path), *common])
    for arguments in (["--benchmark", "owm"], ["--photographs", "x"], ["x"]):
        with pytest.raises(SystemExit) as refused:
            main([*arguments, *common])
        assert refused.value.code == 2
