"""Where clips come from: video files and image topics of bags, found in files and folders."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from fpt_ros.data.bags import bag_topics
from fpt_ros.data.videos import VideoSource

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

VIDEO_SUFFIXES = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ogv", ".webm", ".wmv"}


class Source(Protocol):
    """Frames in order of time.

    path: the video file, or the bag's folder. name: of the file or topic, without folders that
    differ between machines.
    """

    @property
    def path(self) -> Path: ...

    @property
    def name(self) -> str: ...

    def times(self) -> list[float]:
        """When each frame was taken, in seconds, increasing. ValueError, OSError: unusable."""

    def frames(self, indices: list[int]) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """RGB frames at increasing indices into `times`. ValueError, OSError: broken there."""


def find_sources(inputs: list[Path], topics: list[str] | None = None) -> list[Source]:
    """All videos and bag topics in files and folders, in an order that does not change.

    Args:
        topics: of bags; all image topics where None.

    Raises:
        FileNotFoundError: a path is not there, or there is no video and no bag in it.
        ValueError: a bag that has no such topic, a file of a bag instead of its folder.
    """
    sources: list[Source] = []
    for path in inputs:
        found = list(_sources_in(path, topics))
        if not found:
            suffixes = ", ".join(sorted(VIDEO_SUFFIXES))
            raise FileNotFoundError(
                f"{path}: no video ({suffixes}) and no bag (a folder with metadata.yaml) there"
            )
        sources += found
    return sources


def _sources_in(path: Path, topics: list[str] | None) -> Iterator[Source]:
    if path.suffix in {".mcap", ".db3"} and path.is_file():
        raise ValueError(
            f"{path} is a file of a bag: give the bag's folder, with its metadata.yaml "
            "(ros2 bag reindex writes one that is missing)"
        )
    if path.is_file():  # whatever its name
        yield VideoSource(path, path.name)
        return
    for file in sorted(path.rglob("*")):
        name = str(Path(path.name, file.relative_to(path)))
        if file.suffix.lower() in VIDEO_SUFFIXES and file.is_file():
            yield VideoSource(file, name)
        elif file.name == "metadata.yaml":
            yield from bag_topics(file.parent, str(Path(name).parent), topics)


def key_prefixes(sources: list[Source]) -> list[str]:
    """A different word for each source, of characters that sample keys may have."""
    taken: dict[str, int] = {}
    prefixes = []
    for source in sources:
        word = re.sub(r"[^A-Za-z0-9-]+", "_", source.name).strip("_")
        taken[word] = taken.get(word, 0) + 1
        prefixes.append(word if taken[word] == 1 else f"{word}__{taken[word]}")
    return prefixes
