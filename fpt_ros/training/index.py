# SPDX-License-Identifier: Apache-2.0
"""Where every sample of some shards lies, so that any of them can be read at any time."""

from __future__ import annotations

import contextlib
import hashlib
import tarfile
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from fpt_ros.data.clips import SampleError
from fpt_ros.data.shards import find_shards, sample_places
from fpt_ros.training.sources import Source, rate_of

if TYPE_CHECKING:
    from jaxtyping import Int

    from fpt_ros.training.recipes import Sampling

KINDS = ("video.mpg", "tracks.npy", "visibility.npy", "bodies.npy", "meta.json")
NEEDED = KINDS[:3]


class ShardIndex:
    """The samples of shards, by number. Holds some dozen bytes a sample.

    foreign: files that belong to no sample, by name. broken: shards that are not whole, with why;
    the samples before the damage count.

    Args:
        sources: shards, and folders whose shards are taken, in order.
        quiet: show no progress bar.

    Raises:
        FileNotFoundError: an input is not there or has no shard.
        ValueError: the shards hold no sample.
        tarfile.ReadError: nor is any of them whole.
    """

    def __init__(self, sources: list[Source], quiet: bool = False) -> None:
        self.sources = sources
        each = [find_shards(list(source.data)) for source in sources]
        self.shards = [shard for shards in each for shard in shards]
        of_shard = np.repeat(np.arange(len(sources)), [len(shards) for shards in each])
        keys: list[str] = []
        places = array("q")  # for each sample: the shard, then offset and size of each file
        self.foreign: list[str] = []
        self.broken: list[str] = []
        for number, path in enumerate(tqdm(self.shards, "index", unit=" shards", disable=quiet)):
            try:
                for key, files in sample_places(path, self.foreign):
                    keys.append(key)
                    places.append(number)
                    for kind in KINDS:
                        places.extend(files.get(kind, (0, -1)))
            except (tarfile.TarError, OSError) as error:
                self.broken.append(str(error))
        if not keys:
            if self.broken:
                raise tarfile.ReadError("; ".join(self.broken))
            raise ValueError(f"no samples in {_named(sources)}")
        self._keys = np.array([key.encode() for key in keys])
        self._places = np.frombuffer(places, np.int64).reshape(len(keys), -1)
        self._source = of_shard[self._places[:, 0]]
        for number, source in enumerate(sources):
            if not (self._source == number).any():
                raise ValueError(f"no samples in {_named([source])}")

    def __len__(self) -> int:
        return len(self._keys)

    def name(self, number: int) -> str:
        """Shard and key of a sample, for messages."""
        return f"{self.shards[self._places[number, 0]]}: {self._keys[number].decode()}"

    @property
    def fingerprint(self) -> str:
        """Equal for equal samples in equal order, wherever they lie."""
        digest = hashlib.sha256(self._keys.tobytes())
        digest.update(self._places[:, 2::2].tobytes())
        return digest.hexdigest()[:16]

    def source(self, number: int) -> Source:
        """The source that a sample is of."""
        return self.sources[self._source[number]]

    @property
    def portions(self) -> tuple[list[Int[np.ndarray, " n"]], list[float]]:
        """The numbers of each source's samples, and its weight."""
        numbers = [np.flatnonzero(self._source == place) for place in range(len(self.sources))]
        return numbers, [source.weight for source in self.sources]

    def horizons(self, sampling: Sampling, most: int = 100) -> list[float]:
        """Seconds between pictures and their targets in the sources' clips, ascending, as far as
        the clips say their rates; of `most` clips a source, spread over all. Back in time does not
        count: the model is asked about what comes."""
        found: set[float] = set()
        for source, numbers in zip(self.sources, self.portions[0], strict=True):
            spread = np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round().astype(int)
            for number in numbers[spread]:
                with contextlib.suppress(SampleError):
                    sample = self.read(int(number))
                    asked = source.sampling(sample, sampling)
                    rate = rate_of(sample)
                    found |= {round(skip / rate, 3) for skip in asked.skips if skip > 0}
        return sorted(found)

    def read(self, number: int) -> dict[str, Any]:
        """The sample, as WebDataset gives it.

        Raises:
            SampleError: files are missing or cut off, or the shard is gone.
        """
        shard, *places = self._places[number].tolist()
        key = self._keys[number].decode()
        sample: dict[str, Any] = {"__key__": key}
        try:
            with self.shards[shard].open("rb") as file:
                for kind, offset, size in zip(KINDS, places[::2], places[1::2], strict=True):
                    if size >= 0:
                        file.seek(offset)
                        sample[kind] = file.read(size)
        except OSError as error:
            raise SampleError(f"sample {key!r}: {error}") from error
        for kind, size in zip(KINDS, places[1::2], strict=True):
            if len(sample.get(kind, b"")) < size:
                raise SampleError(f"sample {key!r}: {kind} is cut off in {self.shards[shard]}")
        missing = [kind for kind in NEEDED if kind not in sample]
        if missing:
            raise SampleError(f"sample {key!r} lacks {', '.join(missing)}")
        return sample


def _named(sources: list[Source]) -> str:
    return ", ".join(str(path) for source in sources for path in source.data)
