from __future__ import annotations

import numpy as np
import pytest
from toy import POINTS, SIDE, UNIFORM, toy_sample

from fpt_ros.training.scenes import load_scenes, parse_scene, to_model


def test_all_scenes_are_read_with_their_colours(toy_scenes):
    assert len(toy_scenes) == 40
    scene = toy_scenes[0]
    assert scene.image.shape == (SIDE, SIDE, 3)
    assert scene.points.shape == (POINTS, 2) and scene.uniform == UNIFORM
    pixels = (scene.points * SIDE).astype(int)
    colours = scene.image[pixels[:, 1], pixels[:, 0]]
    assert (colours[scene.bodies == 0] == 120).all()
    first = toy_sample(np.random.default_rng(0), "x")
    assert (parse_scene(first).image == scene.image).all()


def test_processes_share_the_shards(toy_data):
    shares = [load_scenes(toy_data / "train", rank, 2) for rank in range(2)]
    assert [len(share) for share in shares] == [20, 20]
    assert (shares[0][0].image != shares[1][0].image).any()
    assert len(load_scenes(toy_data / "val", 1, 2)) == 12  # one shard only: all read it


def test_pictures_become_float_in_the_models_range():
    image = np.zeros((4, 4, 3), np.uint8)
    image[0, 1] = 255, 0, 0
    out = to_model([image])
    assert out.shape == (1, 3, 4, 4) and out.dtype == np.float32
    assert out[0, 0, 0, 1] == 1.0 and out[0, 1, 0, 1] == -1.0


def test_a_folder_without_shards_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no shard-\*\.tar in "):
        load_scenes(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"flows.npy": None}, r"sample 'x' lacks \['flows.npy'\]"),
        ({"image.png": b"no image"}, "sample 'x': image.png is not an image"),
        ({"bodies.npy": "points.npy"}, "sample 'x': shapes .* do not fit each other"),
    ],
)
def test_a_broken_sample_is_named(change, message):
    sample = toy_sample(np.random.default_rng(0), "x")
    for name, value in change.items():
        if value is None:
            del sample[name]
        else:
            sample[name] = sample[value] if isinstance(value, str) else value
    with pytest.raises(ValueError, match=message):
        parse_scene(sample)


def test_an_array_with_objects_is_refused():
    sample = toy_sample(np.random.default_rng(0), "x")
    from io import BytesIO

    buffer = BytesIO()
    np.save(buffer, np.array([{}], dtype=object), allow_pickle=True)
    sample["points.npy"] = buffer.getvalue()
    with pytest.raises(ValueError, match="allow_pickle"):
        parse_scene(sample)
