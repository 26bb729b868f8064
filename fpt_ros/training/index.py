"""Where every sample of some shards lies, so that any of them can be read at any time."""

from __future__ import annotations

import hashlib
import tarfile
from array import array
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from fpt_ros.data.clips import SampleError
from fpt_ros.data.shards import find_shards

KINDS = ("video.mpg", "tracks.npy", "visibility.npy", "bodies.npy")
NEEDED = KINDS[:3]


class ShardIndex:
    """The samples of shards, by number. Holds some dozen bytes a sample.

    Args:
        inputs: shards, and folders whose shards are taken, in order.
        quiet: show no progress bar.

    Raises:
        FileNotFoundError: an input is not there or has no shard.
        ValueError: the shards hold no sample.
        tarfile.ReadError: a shard is not whole; named.
    """

    def __init__(self, inputs: list[Path], quiet: bool = False) -> None:
        self.shards = find_shards(inputs)
        keys: list[str] = []
        places = array("q")  # for each sample: the shard, then offset and size of each file
        for number, path in enumerate(tqdm(self.shards, "index", unit=" shards", disable=quiet)):
            for key, files in _scan(path):
                keys.append(key)
                places.append(number)
                for kind in KINDS:
                    places.extend(files.get(kind, (0, -1)))
        if not keys:
            raise ValueError(f"no samples in {', '.join(map(str, inputs))}")
        self._keys = np.array([key.encode() for key in keys])
        self._places = np.frombuffer(places, np.int64).reshape(len(keys), -1)

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

    def read(self, number: int) -> dict[str, Any]:
        """The sample, as WebDataset gives it; SampleError where files are missing or cut off."""
        shard, *places = self._places[number].tolist()
        key = self._keys[number].decode()
        sample: dict[str, Any] = {"__key__": key}
        with self.shards[shard].open("rb") as file:
            for kind, offset, size in zip(KINDS, places[::2], places[1::2], strict=True):
                if size < 0:
                    continue
                file.seek(offset)
                sample[kind] = file.read(size)
                if len(sample[kind]) < size:
                    raise SampleError(f"sample {key!r}: {kind} is cut off in {self.shards[shard]}")
        missing = [kind for kind in NEEDED if kind not in sample]
        if missing:
            raise SampleError(f"sample {key!r} lacks {', '.join(missing)}")
        return sample


def _scan(path: Path) -> list[tuple[str, dict[str, tuple[int, int]]]]:
    """Keys of a shard's samples with (offset, size) of their files. Reads the headers alone."""
    found: list[tuple[str, dict[str, tuple[int, int]]]] = []
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, slash, name = member.name.rpartition("/")
                stem, _, kind = name.partition(".")
                key = folder + slash + stem
                if not member.isfile():
                    continue
                if not found or found[-1][0] != key:
                    found.append((key, {}))
                found[-1][1][kind] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise tarfile.ReadError(f"{path} is not a whole tar file: {error}") from error
    return found
