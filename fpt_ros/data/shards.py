# SPDX-License-Identifier: Apache-2.0
"""Tar shards: written whole or not at all, read one sample at a time."""

from __future__ import annotations

import io
import logging
import math
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_log = logging.getLogger(__name__)

SAMPLE_KINDS = {"video.mpg", "tracks.npy", "visibility.npy", "bodies.npy", "meta.json"}
"""Of a sample's files. Other ones beside them are kept, and not read."""


@contextmanager
def whole_or_not(path: Path) -> Iterator[Path]:
    """A temporary name beside `path`, renamed to it at the end unless an error came."""
    unfinished = path.with_name(f"{path.name}.part-{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def shard_path(folder: Path, number: int) -> Path:
    return folder / f"shard-{number:06d}.tar"


class ShardWriter:
    """Writes a shard as a context manager; what is not whole at its end is deleted.

    Beyond `most_bytes` the shard goes on in further files, `shard-000000-1.tar` and so on. The
    first file gets its name last: where it is, all are. Without samples no file is written. Owner
    and time in the tar headers are fixed, so that shards repeat byte by byte.
    """

    def __init__(self, path: Path, most_bytes: float = math.inf) -> None:
        self.path, self.most_bytes = path, most_bytes
        self._parts: list[tarfile.TarFile] = []

    def add(self, key: str, files: dict[str, bytes]) -> None:
        """Append a sample: its files' contents by name."""
        needed = sum(tarfile.BLOCKSIZE * (2 + len(c) // tarfile.BLOCKSIZE) for c in files.values())
        if not self._parts or 0 < self._parts[-1].offset > self.most_bytes - needed:
            name = self._name(len(self._parts))
            unfinished = name.with_name(f"{name.name}.part-{os.getpid()}")
            tar = tarfile.open(unfinished, "w", format=tarfile.GNU_FORMAT)  # noqa: SIM115
            self._parts.append(tar)
        for kind, content in files.items():
            info = tarfile.TarInfo(f"{key}.{kind}")
            info.size = len(content)
            self._parts[-1].addfile(info, io.BytesIO(content))

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        try:
            for part in self._parts:
                part.close()
            for number in reversed(range(len(self._parts))) if error is None else ():
                Path(str(self._parts[number].name)).replace(self._name(number))
        finally:
            for part in self._parts:
                Path(str(part.name)).unlink(missing_ok=True)

    def _name(self, part: int) -> Path:
        return self.path.with_stem(f"{self.path.stem}-{part}") if part else self.path


def read_samples(path: Path, foreign: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The samples of a shard in order, as WebDataset gives them: `__key__` and files by name.

    Args:
        foreign: takes the names of files that belong to no sample.

    Raises tarfile.ReadError, naming the shard, where it is not whole.
    """
    with _opened(path) as tar:
        for key, members in _grouped(tar, path, foreign):
            contents = {kind: tar.extractfile(member) for kind, member in members.items()}
            yield {"__key__": key} | {k: file.read() for k, file in contents.items() if file}


def whole_samples(
    path: Path, problems: list[str], foreign: list[str] | None = None
) -> Iterator[dict[str, Any]]:
    """As read_samples, but a shard that is not whole, or cannot be read, ends where it breaks off.

    Args:
        problems: takes a line where it does, or has no sample: the shard, why, samples it gave.
    """
    count = 0
    try:
        for sample in read_samples(path, foreign):
            yield sample
            count += 1
    except (tarfile.TarError, OSError) as error:
        problems.append(f"{error}; the samples before that are taken: {count}")
    else:
        problems += [] if count else [f"{path} has no sample"]


def sample_places(
    path: Path, foreign: list[str] | None = None
) -> Iterator[tuple[str, dict[str, tuple[int, int]]]]:
    """Keys of the samples with (offset, size) of their files. Reads the headers alone.

    Raises as read_samples does, after the samples that are whole.
    """
    with _opened(path) as tar:
        for key, members in _grouped(tar, path, foreign):
            yield key, {kind: (m.offset_data, m.size) for kind, m in members.items()}


def split_name(name: str) -> tuple[str, str] | None:
    """Key and kind of a file in a shard, as WebDataset has it; None where it has none.

    The kind is what follows the first dot of the file's own name, in lower case.
    """
    folder, slash, file = name.rpartition("/")
    stem, _, kind = file.partition(".")
    return (folder + slash + stem, kind.lower()) if stem and kind else None


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as tar:
            yield tar
    except tarfile.TarError as error:
        raise tarfile.ReadError(f"{path} is not a whole tar file: {error}") from error


def _grouped(
    tar: tarfile.TarFile, path: Path, foreign: list[str] | None
) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Keys and files by kind of the samples: neighbours that share a key.

    What has none of a sample's kinds is foreign, such as a README or macOS's notes (`._*`); it does
    not part its neighbours.
    """
    key, members = "", dict[str, tarfile.TarInfo]()
    try:
        for next_key, group in _runs(tar):
            if not next_key or not SAMPLE_KINDS & group.keys():
                if foreign is not None:
                    foreign += [f"{path}: {member.name}" for member in group.values()]
                continue
            if members and (next_key != key or members.keys() & group.keys()):
                yield key, members
                members = {}
            key, members = next_key, members | group
    except tarfile.TarError:
        if members:
            yield key, members
        raise
    if members:
        yield key, members


def _runs(tar: tarfile.TarFile) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Files of one key behind each other; each file without one by itself."""
    key, run = "", dict[str, tarfile.TarInfo]()
    for member in tar:
        if not member.isfile():
            continue
        next_key, kind = split_name(member.name) or ("", member.name)
        if run and (next_key != key or kind in run or not key):
            yield key, run
            run = {}
        key = next_key
        run[kind] = member
    _check_end(tar)
    if run:
        yield key, run


def _check_end(tar: tarfile.TarFile) -> None:
    """tarfile takes a damaged header, and the end of the file, for the end of the archive."""
    assert tar.fileobj is not None
    tar.fileobj.seek(tar.offset)
    block = tar.fileobj.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE or any(block):
        raise tarfile.ReadError("it breaks off" if not block else "it is damaged")


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and in the folders below it, in order.

    Links to folders are followed; a folder that is met again is not read again.
    """
    found, seen = [], set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        found += [Path(place, name) for name in files]
    return sorted(found)


def find_shards(inputs: list[Path]) -> list[Path]:
    """The given shards, and all those in the given folders, in order.

    What macOS notes about shards (`._*`) and links that lead nowhere are logged and left out.

    Raises FileNotFoundError where one of the inputs is not there or has none.
    """
    found: list[Path] = []
    for path in inputs:
        named = [f for f in files_below(path) if f.suffix.lower() == ".tar"]
        shards = [f for f in named if f.is_file() and not f.name.startswith("._")]
        for other in sorted(set(named) - set(shards)):
            _log.warning("%s is no shard: left out", other)
        if path.is_file():
            shards = [path]
        if not shards:
            raise FileNotFoundError(f"{path}: no such shard, or a folder without *.tar")
        found += shards
    return found
