# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest
from footage import SMALL, fpt_data, moving, write_video


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wide and a high video, one in a folder of its own, and two that cannot be used."""
    folder = tmp_path_factory.mktemp("footage")
    (folder / "more").mkdir()
    write_video(folder / "slow.mp4", moving(70, 0.5))
    write_video(folder / "more" / "slow.mp4", moving(70, -1.0, seed=1))
    write_video(folder / "more" / "short.mp4", moving(20))
    (folder / "broken.mp4").write_bytes(b"this is no video")
    return folder


@pytest.fixture(scope="session")
def shards(videos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips of 30 frames in two shards."""
    out = tmp_path_factory.mktemp("shards") / "out"
    done = fpt_data("shard", videos, "--out", out, *SMALL)
    assert done.returncode == 0, done.stderr
    return out
