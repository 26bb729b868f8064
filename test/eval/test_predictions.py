# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from fpt_ros.eval.cases import Cases
from fpt_ros.eval.predictions import AT_ONCE, predict


@pytest.mark.parametrize("pokes", [0, 1, 4])
def test_predictions_are_what_the_model_says_of_each_point(model, cases, pokes):
    """In one batch with others, of fewer points, as alone."""
    assert len(cases) > AT_ONCE  # more than one batch
    shorter = cases.each[9]
    names = ("points", "flow", "noise", "moving", "same_body", "weight")
    shorter = replace(shorter, **{name: getattr(shorter, name)[:20] for name in names})
    mixed = Cases([*cases.each[:9], shorter, *cases.each[10:]])
    found = predict(model, mixed, (pokes,))[pokes]
    for index in (8, 9):
        case = mixed.each[index]
        image = torch.from_numpy(case.image).permute(2, 0, 1)[None] / 127.5 - 1
        poke, points = (torch.from_numpy(a)[None] for a in (case.pokes[:pokes], case.points))
        with torch.no_grad():
            mixture = model.predict_parallel(
                poke[..., :2], poke[..., 2:], points, True, model.embed_image(image)
            )[0]
        of = mixed.of == index
        np.testing.assert_allclose(found.mean[of], mixture.mean, atol=1e-5)
        noisy = torch.from_numpy(case.flow + case.noise)
        np.testing.assert_allclose(found.log_prob[of], mixture.log_prob(noisy), atol=1e-3)
        moves = 1 - mixture.probability_within(torch.zeros(2), 0.01)
        np.testing.assert_allclose(found.moves[of], moves, atol=1e-4)
        spread = mixture.covariance.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()
        np.testing.assert_allclose(found.spread[of], spread, rtol=1e-3)
        assert found.sample_errors[of].shape == (of.sum(), 5)
    again = predict(model, Cases(mixed.each[:AT_ONCE]), (pokes,))[pokes]
    np.testing.assert_array_equal(again.level, found.level[: len(again.level)])
    assert ((found.level > 0) & (found.level < 1)).all()
    assert (found.divergence == 0).all() == (pokes == 0)


def test_it_is_asked_about_the_camera_it_has(model, cases):
    moving = Cases([replace(case, camera_static=False) for case in cases.each[:2]])
    still = Cases(cases.each[:2])
    assert np.abs(predict(model, moving)[1].mean - predict(model, still)[1].mean).max() > 1e-4


def test_pictures_of_several_sizes_go_together(model, cases):
    larger = np.repeat(np.repeat(cases.each[1].image, 2, 0), 2, 1)
    some = Cases(cases.each[:2])
    own = predict(model, some)[1]
    mixed = predict(model, some, images=[cases.each[0].image, larger])[1]
    np.testing.assert_allclose(mixed.mean, own.mean, atol=1e-3)


def test_other_pictures_are_what_it_sees(model, cases):
    some = Cases(cases.each[:2])
    swapped = [cases.each[1].image, cases.each[0].image]
    there = Cases(
        [replace(cases.each[0], image=swapped[0]), replace(cases.each[1], image=swapped[1])]
    )
    found = predict(model, some, images=swapped)[1]
    np.testing.assert_array_equal(found.mean, predict(model, there)[1].mean)
    assert np.abs(found.mean - predict(model, some)[1].mean).max() > 1e-5
