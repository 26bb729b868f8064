# SPDX-License-Identifier: Apache-2.0
"""`fpt-bag score`: motion that is real, figures, the page, and regions that hold what they say."""

import dataclasses
import json
import re
import shutil

import cv2
import numpy as np
import pytest
import torch
from small_bags import fpt_bag, picture, write

from fpt_ros import Predictor
from fpt_ros.engine.loading import free_memory, load_predictor
from fpt_ros.engine.settings import Settings
from fpt_ros.eval.cases import Case
from fpt_ros.inference.calibration import read_calibration
from fpt_ros.model import MotionMixture
from fpt_ros.recordings.calibrating import _scores, fitted_spread, held
from fpt_ros.recordings.motion_kinds import kind_of_motion
from fpt_ros.recordings.report_card import Card, verdict
from fpt_ros.recordings.stretches import SIDE, make_case


def pushed(count, speed, size=96, start=(20, 30)):
    """A textured square of 40 pixels that slides over a still background."""
    back, square = picture(1, size, size), picture(2, 40, 40)
    found = []
    for number in range(count):
        frame = back.copy()
        where = np.float32([[1, 0, start[0] + speed * number], [0, 1, start[1]]])
        cv2.warpAffine(square, where, (size, size), frame, borderMode=cv2.BORDER_TRANSPARENT)
        found.append(frame)
    return found


def test_what_moves_is_found_and_asked_about():
    frames = np.stack([cv2.resize(f, (SIDE, SIDE)) for f in pushed(11, 1.5)])
    case = make_case("a", frames, np.random.default_rng(0))
    on_square = ((case.points > [0.25, 0.36]) & (case.points < [0.58, 0.68])).all(1)
    assert case.moving[on_square].mean() > 0.9
    far = ((case.points < [0.15, 0.25]) | (case.points > [0.85, 0.8])).any(1)
    assert not case.moving[far].any()
    true = np.where(case.moving[:, None], [15 / 96, 0], 0)
    assert np.quantile(np.linalg.norm(case.flow - true, axis=1), 0.95) < 0.01
    np.testing.assert_allclose(case.pokes[0, 2:], [15 / 96, 0], atol=0.02)
    assert case.camera_static
    still = frames[:1].repeat(11, 0)
    assert make_case("b", still, np.random.default_rng(0)) is None


def test_report_of_a_bag(tmp_path, tiny_checkpoint, capsys, monkeypatch):
    frames = [f for n in range(6) for f in pushed(11, 1.5 + 0.1 * n, start=(15, 20 + 4 * n))]
    other = shutil.copy(tiny_checkpoint, tmp_path / "other.safetensors")
    bag = write(tmp_path / "in", {"/image": frames})
    arguments = ("score", bag, "--horizon", 1, "--checkpoint", tiny_checkpoint)
    again = ("--checkpoint", other, "--out", tmp_path / "report")
    status, said = fpt_bag(capsys, monkeypatch, *arguments, *again)
    assert status == 0, said
    report = json.loads((tmp_path / "report/report.json").read_text())
    counts = report["stretches"]
    assert counts["looked_at"] == 6 and counts["fitted"] + counts["judged"] >= 5
    assert sorted(report["checkpoints"]) == ["other", "tiny"]
    assert list(report["by_kind"]) == ["translation"]
    assert sum(part["cases"] for part in report["by_time"]) == counts["judged"]
    assert report["baselines"]["nothing moves"]["error_still"] < 0.005
    assert report["baselines"]["all moves like the poke"]["error_moving"] < 0.03
    for sentence in report["sentence"].values():
        assert sentence in said
    page = (tmp_path / "report/report.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 6
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_nothing_moves(tmp_path, tiny_checkpoint, capsys, monkeypatch):
    bag = write(tmp_path / "in", {"/image": [picture()] * 44})
    arguments = ("--horizon", 1, "--checkpoint", tiny_checkpoint, "--out", tmp_path / "report")
    status, said = fpt_bag(capsys, monkeypatch, "score", bag, *arguments)
    assert status == 1 and "moves in 0: at least 4 are needed" in said


def test_regions_of_90_percent_hold_90_percent():
    """Of mixtures whose spread is half of the truth's."""
    rng = np.random.default_rng(0)
    n = 1000
    tril = torch.eye(2).double().expand(n, 1, 2, 2) * 0.01
    mixture = MotionMixture(torch.zeros(n, 1).double(), torch.zeros(n, 1, 2).double(), tril)
    moving = np.zeros(n, bool)
    found = [_scores(mixture, rng.normal(0, 0.02, (n, 2))) for _ in range(2)]
    spread = fitted_spread(found[0], moving)
    assert 1.7 < spread < 2.4
    assert held(found[1], moving, 1.0)["all"] < 0.5
    assert 0.87 < held(found[1], moving, spread)["all"] < 0.96
    far = _scores(mixture, np.full((n, 2), 9.0))
    assert fitted_spread(far, moving) == np.inf


@pytest.mark.parametrize(
    ("motion", "kind"),
    [
        ([[1, 0, 0.1], [0, 1, 0.02]], "translation"),
        ([[0.9, 0.3, 0], [-0.3, 0.9, 0.1]], "turning"),
        ([[1.2, 0, -0.1], [0, 1.2, -0.1]], "nearer or farther"),
        (None, "several ways"),
    ],
)
def test_kinds_of_motion(motion, kind):
    rng = np.random.default_rng(0)
    points = rng.uniform(0.3, 0.6, (40, 2)).astype(np.float32)
    if motion is None:
        flow = rng.normal(0, 0.1, points.shape).astype(np.float32)
    else:
        matrix = np.float32(motion)
        flow = points @ matrix[:, :2].T + matrix[:, 2] - points
    pokes = np.concatenate([points[0], flow[0]])[None].repeat(4, 0)
    yes, one = np.ones(39, bool), np.ones(39, np.float32)
    case = Case("a", np.zeros((8, 8, 3), np.uint8), True, pokes, points[1:], flow[1:], flow[1:],
                yes, ~yes, one)  # fmt: skip
    assert kind_of_motion(case) == kind


@pytest.mark.parametrize(
    ("error", "likelihood", "holds", "count", "word"),
    [
        (0.01, 9, 0.9, 20, "use"),
        (0.01, 9, 0.5, 20, "use"),
        (0.01, 1, 0.9, 20, "tune"),
        (0.019, 9, 0.9, 20, "tune"),
        (0.06, 9, 0.9, 20, "not"),
        (0.01, 9, 0.9, 5, "unknown"),
    ],
)
def test_the_sentence(error, likelihood, holds, count, word):
    noise = np.random.default_rng(0).normal(0, 0.001, count)
    figures = {
        "error": error, "log_likelihood": likelihood, "holds_as_stated": {"moving": holds}
    }  # fmt: skip
    baselines = {
        "nothing moves": {"error": 0.05, "log_likelihood": 2.0},
        "fading": {"error": 0.02, "log_likelihood": 5.0},
        "disc": {"overlap": 0.1},
    }
    card = Card("mine", figures, error + noise, 1.5)
    found, sentence = verdict(card, baselines, {"fading": np.full(count, 0.02)})
    assert found == word
    if holds < 0.85:  # and no file can be fitted
        without = dataclasses.replace(card, spread=np.inf)
        assert verdict(without, baselines, {"fading": np.full(count, 0.02)})[0] == "tune"
    assert ("calibration file" in sentence) == (word == "use" and holds < 0.85)


def test_a_calibration_widens_what_is_predicted(tiny_checkpoint):
    predictor = Predictor.from_checkpoint(tiny_checkpoint)
    context = predictor.embed(picture())
    asked = ([[30, 36, 8, 0]], [[40, 36], [60, 20]])
    before = predictor.predict(context, *asked)
    goals, stays = [[8, 0], [0, 0]], 5.0
    likely = predictor.evaluate(context, [asked[0]], asked[1], goals, stays).log_likelihood
    predictor.spread = 2.0
    after = predictor.predict(context, *asked)
    torch.testing.assert_close(after.covariances, 4 * before.covariances)
    torch.testing.assert_close(after.mean, before.mean)
    found = predictor.evaluate(context, [asked[0]], asked[1], goals, stays)
    torch.testing.assert_close(
        torch.as_tensor(found.log_likelihood[0]).double(),
        after.log_prob(torch.tensor(goals).double()),
        rtol=1e-3,
        atol=1e-3,
    )
    assert not np.allclose(found.log_likelihood, likely)


def test_the_node_takes_the_file(tmp_path, tiny_checkpoint):
    sha256 = Predictor.from_checkpoint(tiny_checkpoint).info.sha256
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"spread": 1.5, "checkpoint": sha256}))
    settings = Settings(checkpoint=str(tiny_checkpoint), calibration_file=str(path))
    try:
        assert load_predictor(settings).spread == 1.5
        with pytest.raises(ValueError, match="was fitted to the weights"):
            load_predictor(dataclasses.replace(settings, checkpoint="embedded"))
    finally:
        free_memory()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "is no JSON"),
        ("[]", "lacks spread, checkpoint"),
        ('{"spread": 1}', "lacks checkpoint"),
        ('{"spread": 0, "checkpoint": "abc"}', "spread is 0: must be 0.1 to 10"),
        ('{"spread": "2", "checkpoint": "abc"}', "spread is '2': must be 0.1 to 10"),
        ('{"spread": 2, "checkpoint": "other"}', "was fitted to the weights other..."),
        (None, "cannot be read: No such file"),
    ],
)
def test_calibration_files_that_are_refused(tmp_path, content, complaint):
    path = tmp_path / "calibration.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ValueError, match=re.escape(complaint)):
        read_calibration(path, "abc")
