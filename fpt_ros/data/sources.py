# SPDX-License-Identifier: Apache-2.0
"""Where clips come from: video files and image topics of bags, found in files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fpt_ros.data.bags import LeftOut, bag_topics
from fpt_ros.data.shards import files_below
from fpt_ros.data.videos import VideoSource
from fpt_ros.images import DEFAULT

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from fpt_ros.data.cutting import Recording
    from fpt_ros.images import Reading
VIDEO_SUFFIXES = {
    *(".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm"),
    ".wmv",
}
BAG_SUFFIXES = {".db3", ".mcap"}


class Source(Protocol):
    """Frames in the order in which they arrived or are decoded.

    path: the video file, or the bag's folder. name: of the file or topic, without folders that
    differ between machines.
    """

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str: ...

    def recording(self) -> Recording:
        """When each frame was taken, and which belong together. ValueError, OSError: unusable."""

    def frames(self, indices: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """RGB frames at increasing numbers. ValueError, OSError: broken there."""


def find_sources(
    inputs: list[Path], topics: list[str] | None = None, reading: Reading = DEFAULT
) -> list[Source]:
    """All videos and bag topics in files and folders, in an order that does not change.

    Args:
        topics: of bags; all image topics where None.
        reading: how a bag's images are read.

    Raises:
        FileNotFoundError: a path is not there, or there is no video and no bag in it.
        ValueError: topics that no bag has, a file of a bag instead of its folder.
    """
    sources: list[Source] = []
    for path in inputs:
        found = list(_sources_in(path, topics, reading))
        if not found:
            suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
            raise FileNotFoundError(
                f"{path}: no video ({suffixes}) and no bag (a folder with metadata.yaml) there"
            )
        sources += found
    left_out = [source for source in sources if isinstance(source, LeftOut)]
    if topics and len(left_out) == len(sources):
        raise ValueError(f"{left_out[0].path}: {left_out[0].why}")
    return sources


def _sources_in(path: Path, topics: list[str] | None, reading: Reading) -> Iterator[Source]:
    if path.suffix in BAG_SUFFIXES and path.is_file():
        raise ValueError(
            f"{path} is a file of a bag: give the bag's folder, with its metadata.yaml "
            "(ros2 bag reindex writes one that is missing)"
        )
    if path.is_file():  # whatever its name
        yield VideoSource(path, path.name)
        return
    for file in files_below(path):
        name = str(Path(path.name, file.relative_to(path)))
        suffix = file.suffix.lower()
        if file.name.startswith("._"):
            if suffix in VIDEO_SUFFIXES | BAG_SUFFIXES:
                yield LeftOut(file, name, "is no video but what macOS notes about one")
        elif suffix in VIDEO_SUFFIXES:
            yield VideoSource(file, name)
        elif file.name == "metadata.yaml":
            yield from bag_topics(file.parent, str(Path(name).parent), topics, reading)
        elif suffix in BAG_SUFFIXES and not (file.parent / "metadata.yaml").exists():
            why = "belongs to a bag without metadata.yaml: ros2 bag reindex writes it"
            yield LeftOut(file, name, why)


def key_prefixes(sources: list[Source]) -> list[str]:
    """A different word for each source, of characters that sample keys may have."""
    taken: dict[str, int] = {}
    prefixes = []
    for source in sources:
        word = re.sub(r"[^A-Za-z0-9-]+", "_", source.name).strip("_")
        taken[word] = taken.get(word, 0) + 1
        prefixes.append(word if taken[word] == 1 else f"{word}__{taken[word]}")
    return prefixes
