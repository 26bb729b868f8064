# SPDX-License-Identifier: Apache-2.0
"""`fpt-bag run`: what is written, for any bag, damaged ones too, and after SIGKILL."""

import re
import subprocess
import sys
import time
from functools import partial

import cv2
import numpy as np
import pytest
from mcap.reader import make_reader
from mcap.stream_reader import StreamReader
from rosbags.rosbag2 import StoragePlugin
from small_bags import (
    HEIGHT,
    RATE,
    SECOND,
    WIDTH,
    WITHOUT_ROS,
    fpt_bag,
    picture,
    pokes_file,
    read,
    sliding,
    stamp,
    write,
)

from fpt_ros import Predictor
from fpt_ros.drawing import draw_motion
from fpt_ros.inference.view import grid_points
from fpt_ros.recordings.pokes_file import TimedPoke, read_pokes_file
from fpt_ros.recordings.predicting import Asking
from fpt_ros.recordings.running import Run, run_bag

GRID = (6, 4)
OUTPUTS = ["/annotations", "/flow", "/motion", "/overlay/compressed"]
POKE = TimedPoke(30, 36, 8, 0)


@pytest.fixture
def bag_run(tiny_checkpoint):
    def run(bag, out, *pokes, workers=1, **options):
        asking = Asking(str(tiny_checkpoint), grid=options.pop("grid", GRID))
        return run_bag(bag, out, Run(list(pokes), asking, "sha", **options), workers)

    return run


def test_what_is_written(tmp_path, bag_run, tiny_checkpoint):
    frames = sliding(3)
    bag = write(tmp_path / "in", {"/image": frames})
    report = bag_run(bag, tmp_path / "out", POKE)
    found = read(tmp_path / "out")
    assert sorted(found) == OUTPUTS and report.images == 3
    predictor = Predictor.from_checkpoint(tiny_checkpoint)
    points = grid_points(WIDTH, HEIGHT, *GRID)
    for number, frame in enumerate(frames):
        expected = predictor.predict(predictor.embed(frame), [[30, 36, 8, 0]], points)
        taken = SECOND + number * SECOND // RATE
        for topic in OUTPUTS:
            assert found[topic][number][0] == taken + 5 * 10**6
        motion, flow, overlay = (
            found[name][number][1] for name in ("/motion", "/flow", "/overlay/compressed")
        )
        assert stamp(motion) == stamp(flow) == stamp(overlay) == taken
        assert motion.header.frame_id == "camera" and motion.horizon.nanosec == SECOND // 2
        means = motion.means.reshape(len(points), -1, 2)
        np.testing.assert_allclose(means, expected.locs, atol=1e-3)
        covariances = motion.covariances.reshape(len(points), -1, 3)
        np.testing.assert_allclose(covariances[..., 1], expected.covariances[..., 0, 1], rtol=1e-2)
        assert (flow.encoding, flow.width, flow.height) == ("32FC2", *GRID)
        mean = flow.data.view(np.float32).reshape(-1, 2)
        np.testing.assert_allclose(mean, expected.mean, atol=1e-3)
        drawn = cv2.imdecode(overlay.data, cv2.IMREAD_COLOR)[..., ::-1]
        arrays = [np.asarray(a) for a in (expected.weights, expected.locs, expected.covariances)]
        picture = draw_motion(frame, np.array([[30, 36, 8, 0]]), points, *arrays, GRID)
        assert np.abs(drawn.astype(int) - picture).mean() < 8  # of the jpeg
    [poke] = found["/motion"][0][1].pokes
    assert (poke.x, poke.y, poke.dx, poke.dy) == (30, 36, 8, 0)
    arrow = found["/annotations"][0][1].points[-1]
    # Foxglove counts from the corner of the first pixel, we from its centre.
    assert (arrow.points[0].x, arrow.points[0].y) == (30.5, 36.5)
    assert (arrow.points[1].x, arrow.points[1].y) == (38.5, 36.5)
    assert arrow.timestamp.sec == 1


def test_other_readers_open_it(tmp_path, bag_run):
    bag_run(write(tmp_path / "in", {"/image": sliding(2)}), tmp_path / "out", POKE)
    with (tmp_path / "out" / "out.mcap").open("rb") as file:
        assert sum(1 for _ in StreamReader(file, validate_crcs=True).records) > 8
        file.seek(0)
        summary = make_reader(file).get_summary()
    schemas = {schema.name: schema for schema in summary.schemas.values()}
    assert {schema.encoding for schema in schemas.values()} == {"ros2msg"}
    motion = schemas["fpt_ros/msg/MotionDistributions"].data.decode()
    assert "MSG: fpt_ros/Poke" in motion and "MSG: std_msgs/Header" in motion
    assert (
        "MSG: foxglove_msgs/Point2" in schemas["foxglove_msgs/msg/ImageAnnotations"].data.decode()
    )


def test_several_cameras_in_sqlite3(tmp_path, bag_run):
    topics = {"/left/image": sliding(5), "/right/image/compressed": sliding(4)}
    bag = write(tmp_path / "in", topics, StoragePlugin.SQLITE3)
    left = TimedPoke(30, 36, 8, 0, topic="/left/image")
    report = bag_run(bag, tmp_path / "out", left, every=2, with_images=True)
    found = read(tmp_path / "out")
    assert report.images == 5
    assert [len(found[f"/left/image{name}"]) for name in ("", *OUTPUTS)] == [3] * 5
    assert [len(found[f"/right/image{name}"]) for name in ("/compressed", *OUTPUTS)] == [2] * 5
    assert all(len(m.pokes) == 1 for _, m in found["/left/image/motion"])
    assert all(len(m.pokes) == 0 for _, m in found["/right/image/motion"])
    assert [stamp(m) for _, m in found["/left/image/motion"]] == [
        stamp(m) for _, m in found["/left/image"]
    ]


def test_pokes_by_time_and_carried_along(tmp_path, bag_run):
    bag = write(tmp_path / "in", {"/image": sliding(40, speed=0.8)})
    timed = TimedPoke(5, 6, 1, 0, start=1, end=2)
    carried = TimedPoke(26, 36, 9, 0, start=0.5, follow=True)
    bag_run(bag, tmp_path / "out", timed, carried, grid=(1, 1))
    pokes = [message.pokes for _, message in read(tmp_path / "out")["/motion"]]
    by_time = [[p for p in some if p.dx == 1] for some in pokes]
    assert [len(some) for some in by_time] == [0] * 10 + [1] * 10 + [0] * 20
    followed = [[p for p in some if p.dx == 9] for some in pokes]
    assert [len(some) for some in followed] == [0] * 5 + [1] * 35
    for number, [poke] in enumerate(followed[5:]):
        assert abs(poke.x - (26 + 0.8 * number)) < 1 and abs(poke.y - 36) < 1


def test_pokes_that_are_lost_are_named(tmp_path, tiny_checkpoint, capsys, monkeypatch, caplog):
    frames = sliding(25, speed=4)
    for frame in frames[5:8]:  # something passes
        frame[:50, :80] = 255 - picture(3, 48, 80)[:1]
    bag = write(tmp_path / "in", {"/image": frames})
    entry = "x: {}, y: 36, dx: 9, dy: 0, follow: true, start: {}"
    leaves = "{" + entry.format(66, 1) + "}"  # on the square
    passed = "{x: 12, y: 10, dx: 1, dy: 0, follow: true}"
    stays = "{x: 88, y: 60, dx: 2, dy: 0, follow: true}"
    late = "{" + entry.format(30, 5) + "}"
    pokes = pokes_file(tmp_path, leaves, passed, stays, late)
    options = ("--pokes", pokes, "--checkpoint", tiny_checkpoint, "--workers", 1, "--grid", 1, 1)
    status, said = fpt_bag(capsys, monkeypatch, "run", bag, tmp_path / "out", *options)
    assert status == 0
    lines = [line for line in said.splitlines() if line.startswith("note: the poke at")]
    left, hidden, never = lines
    assert re.search(r"\(66, 36\) from 1 s on /image was lost at 1\.[4-7].*left the pic", left)
    assert "not seen again: " in left
    assert re.search(r"\(12, 10\) from 0 s on /image was lost at 0\.[345].*it is hidden", hidden)
    assert "seen again at 0.8" in hidden and "of its 25 images are without it" in hidden
    assert never.endswith(
        "(30, 36) from 5 s on /image is on no image: there is none while it holds"
    )
    motions = [message.pokes for _, message in read(tmp_path / "out")["/motion"]]
    assert all(any(poke.dx == 2 for poke in some) for some in motions)  # of which nothing is said
    without = sum(all(poke.dx != 1 for poke in some) for some in motions)
    assert f"s: {without} of its 25 images" in hidden
    assert [record.getMessage() for record in caplog.records] == [line[6:] for line in lines]


def test_killed_and_continued(tmp_path, tiny_checkpoint, capsys, monkeypatch):
    bag = write(tmp_path / "in", {"/image": sliding(60)})
    pokes = pokes_file(tmp_path, "[30, 36, 8, 0]")
    options = ("--pokes", pokes, "--checkpoint", tiny_checkpoint, "--workers")
    once, out = tmp_path / "once" / "out", tmp_path / "twice" / "out"
    assert fpt_bag(capsys, monkeypatch, "run", bag, once, *options, 1)[0] == 0
    command = [sys.executable, "-c", WITHOUT_ROS, "run", bag, out, *options, 2]
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as process:
        written = out.with_name("out.unfinished") / "0" / "out" / "out.mcap"
        deadline = time.monotonic() + 60
        while not (written.exists() and written.stat().st_size > 10**6):
            assert time.monotonic() < deadline and process.poll() is None
            time.sleep(0.002)
        process.kill()
    again = partial(fpt_bag, capsys, monkeypatch, "run", bag, out, *options, 1)
    status, said = again("--every", 2)
    assert status == 1 and "every was 1 and is 2" in said
    status, said = again()
    assert status == 0 and 0 < int(re.search(r"60 images, (\d+) of them", said)[1]) < 60
    for name in ("out.mcap", "metadata.yaml"):
        assert (out / name).read_bytes() == (once / name).read_bytes()
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    assert "finished already" in again()[1]


@pytest.mark.parametrize("storage", [StoragePlugin.MCAP, StoragePlugin.SQLITE3])
def test_a_bag_that_is_cut_off_gives_what_it_has(
    tmp_path, bag_run, tiny_checkpoint, storage, capsys, monkeypatch
):
    bag = write(tmp_path / "in", {"/image": sliding(30)}, storage)
    bag_run(bag, tmp_path / "whole", POKE)
    [file] = [path for path in bag.iterdir() if path.suffix != ".yaml"]
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    (bag / "metadata.yaml").unlink()  # it is written last
    options = ("--checkpoint", tiny_checkpoint, "--workers", 1, "--grid", *GRID)
    pokes = ("--pokes", pokes_file(tmp_path, "[30, 36, 8, 0]"))
    capsys.readouterr()
    status, said = fpt_bag(capsys, monkeypatch, "run", bag, tmp_path / "cut", *pokes, *options)
    assert status == 1 and f"{file} is cut off or damaged" in said.splitlines()[-1]
    whole, cut = read(tmp_path / "whole")["/motion"], read(tmp_path / "cut")["/motion"]
    assert 12 <= len(cut) <= 15  # of 30 in the whole file
    assert [stamp(m) for _, m in cut] == [stamp(m) for _, m in whole[: len(cut)]]
    np.testing.assert_array_equal(cut[-1][1].means, whole[len(cut) - 1][1].means)


def test_images_that_cannot_be_read_are_passed_over(tmp_path, bag_run):
    frames = sliding(4)
    bag = write(tmp_path / "in", {"/image": [*frames[:2], frames[2][:0], frames[3]]})
    report = bag_run(bag, tmp_path / "out", POKE)
    assert report.images == 3 and "width x height is 96 x 0" in report.unreadable[0]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("[1, 2, 3]", "pokes[0]: must be [x, y, dx, dy]"),
        ("{x: 1, y: 2, dx: 3}", "pokes[0]: lacks dy"),
        ("{x: 1, y: 2, dx: 3, dy: .nan}", "dy is nan: must be a finite number"),
        ("{x: 1, y: 2, dx: 3, dy: 4, speed: 2}", "unknown speed: must be x, y, dx, dy"),
        ("{x: 1, y: 2, dx: 3, dy: 4, start: 2, end: 1}", "end is 1: must be after start"),
        ("{x: 1, y: 2, dx: 3, dy: 4, follow: maybe}", "follow is 'maybe': must be true or false"),
        ("[1, 2, 3", "is no YAML"),
    ],
)
def test_pokes_files_that_are_refused(tmp_path, entry, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        read_pokes_file(pokes_file(tmp_path, entry))


def test_what_is_refused(tmp_path, bag_run):
    bag = write(tmp_path / "in", {"/image": sliding(2)})
    with pytest.raises(ValueError, match="no image topic /camera: it has /image"):
        bag_run(bag, tmp_path / "out", POKE, topics=["/camera"])
    with pytest.raises(ValueError, match="the topic /camera: must be one of /image"):
        bag_run(bag, tmp_path / "out", TimedPoke(1, 1, 1, 1, topic="/camera"))
    with pytest.raises(ValueError, match=r"/image at 1.005 s: of the pokes on it, .* 500"):
        bag_run(bag, tmp_path / "out2", TimedPoke(500, 1, 1, 1))
    assert bag_run(bag, tmp_path / "out2", POKE).images == 2  # mended, and not refused
    with pytest.raises(FileNotFoundError, match="no bag there"):
        bag_run(tmp_path, tmp_path / "out3", POKE)
    with pytest.raises(FileExistsError, match="exists already"):
        bag_run(bag, bag, POKE)
