# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import numpy as np
import pytest

from fpt_ros.eval import photographs
from fpt_ros.eval.__main__ import main
from fpt_ros.eval.photographs import FOLDER, draw, read_parts


@pytest.fixture(scope="module")
def parts():
    return read_parts()


def test_every_photograph_has_parts_and_a_licence(parts):
    pictures = {path.name for path in FOLDER.glob("*.jpg")}
    assert {part.picture for part in parts} == pictures and len(pictures) >= 40
    table = (FOLDER / "README.md").read_text()
    assert all(f"| {name} |" in table for name in pictures)


def test_pokes_lie_on_their_parts(parts):
    for part in parts:
        x, y = part.poke[:2].astype(int)
        assert part.mask[y, x], (part.picture, part.name)
        assert 0.001 < part.mask.mean() < 0.99, (part.picture, part.name)


def test_polygons_are_joined_without_holes():
    square = [[[2, 2], [8, 2], [8, 8], [2, 8]]]
    mask = draw([*square, [[4, 4], [12, 4], [12, 6], [4, 6]]], 16, 16)
    assert mask[5, 5] and mask[5, 11] and not mask[12, 12] and mask.sum() == 49 + 12


def test_the_command_prints_a_table(parts, tiny_checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(photographs, "read_parts", lambda: parts[:3])
    monkeypatch.setattr(
        photographs.Predictor, "segment", lambda *_: type("Part", (), {"moves": parts[0].mask})
    )
    monkeypatch.setattr(photographs, "segmented", lambda part, _: part.mask)
    monkeypatch.setattr(photographs, "disc", lambda part: np.zeros_like(part.mask))
    some = [part for part in parts[:3] if part.picture == parts[0].picture]
    monkeypatch.setattr(photographs, "read_parts", lambda: some)
    main([
        "--photographs", "--checkpoint", str(tiny_checkpoint), "--device", "cpu",
        "--out", str(tmp_path),
    ])  # fmt: skip
    shown = capsys.readouterr().out
    assert f"{len(some)} hand-drawn parts on 1 photographs" in shown
    found = json.loads((tmp_path / "photographs.json").read_text())
    assert found[0]["ours"] == 1 and found[1]["ours"] < 1
    assert all(
        one["GrabCut round the poke"] == 1 and one["disc round the poke"] == 0 for one in found
    )
