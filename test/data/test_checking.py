# SPDX-License-Identifier: Apache-2.0
"""The built-in tracker's labels on the real clips beside hand-set outlines."""

from __future__ import annotations

import json

import numpy as np
import pytest

from fpt_ros.data import checking
from fpt_ros.data.__main__ import main
from fpt_ros.data.checking import FOLDER, CheckedClip, Part, part_labels, read_checked, true_ends
from fpt_ros.data.lucas_kanade import track_points
from fpt_ros.data.query_points import draw_queries


@pytest.fixture(scope="module")
def clips():
    return read_checked()


def test_every_clip_has_parts_and_a_licence(clips):
    names = {path.name for path in FOLDER.glob("*.mpg")}
    entries = json.loads((FOLDER / "parts.json").read_text())
    assert {entry["clip"] for entry in entries} == names and len(clips) == len(names) >= 4
    table = (FOLDER / "README.md").read_text()
    assert all(f"| {name} |" in table for name in names)
    for clip in clips:
        assert clip.frames.shape == (26, 256, 256, 3)
        moved = [np.linalg.norm(part.last - part.first, axis=1).min() > 2 for part in clip.parts]
        assert any(moved) and not all(moved)


def test_true_ends_by_hand():
    square = np.array([[10, 10], [30, 10], [30, 30], [10, 30]], float)
    parts = [Part(square, 2 * square + [5, 0]), Part(square + 40, square + 40)]
    ends = true_ends(parts, np.array([[20, 20], [12, 28], [60, 55], [35, 20]], float))
    np.testing.assert_allclose(ends[:3], [[45, 40], [29, 56], [60, 55]], atol=1e-9)
    assert np.isnan(ends[3]).all()


def test_what_is_believed_on_a_real_clip_is_right(clips):
    clip = clips[2]
    queries = draw_queries(clip.frames, 300, np.random.default_rng(0))
    moves, right, stays, kept = part_labels(clip, track_points, queries).T
    assert (moves & stays).sum() > 10, "the tracker is deceived"
    assert right[moves].mean() < 0.9
    assert right[moves & kept].mean() > 0.97 and kept[moves & right].mean() > 0.5


def test_the_command_prints_a_table(clips, monkeypatch, capsys):
    small = CheckedClip(clips[0].frames, clips[0].parts)
    monkeypatch.setattr("fpt_ros.data.__main__.read_checked", lambda: [small])
    monkeypatch.setattr(checking, "POINTS", 60)
    monkeypatch.setattr("sys.argv", ["fpt-data", "measure", "--real"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert printed.startswith("1 real clips") and "labels that move, believed: right" in printed


def test_a_clip_that_is_too_short_is_refused(tmp_path):
    from fpt_ros.data.clips import encode_video

    (tmp_path / "short.mpg").write_bytes(encode_video(np.zeros((5, 64, 64, 3), np.uint8)))
    (tmp_path / "parts.json").write_text('[{"clip": "short.mpg", "parts": []}]')
    with pytest.raises(ValueError, match=r"short.mpg: 5 frames: more than 25 needed"):
        read_checked(tmp_path)
