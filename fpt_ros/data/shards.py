"""Tar shards: written whole or not at all, read one sample at a time; a folder's settings."""

from __future__ import annotations

import fcntl
import io
import json
import math
import os
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SETTINGS = "settings.json"


class SettingsError(ValueError):
    """A folder holds data of other settings, or is in use."""


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


def read_samples(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of a shard in order, as WebDataset gives them: `__key__` and files by name.

    Raises tarfile.ReadError, naming the shard, where it is not whole.
    """
    sample: dict[str, Any] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is None:
                    continue
                folder, slash, name = member.name.rpartition("/")
                stem, _, kind = name.partition(".")
                key = folder + slash + stem
                if sample and sample["__key__"] != key:
                    yield sample
                    sample = {}
                sample |= {"__key__": key, kind: file.read()}
    except tarfile.TarError as error:
        raise tarfile.ReadError(f"{path} is not a whole tar file: {error}") from error
    if sample:
        yield sample


def find_shards(inputs: list[Path]) -> list[Path]:
    """The given shards, and all those in the given folders, in order.

    Raises FileNotFoundError where one of them is or has none.
    """
    found: list[Path] = []
    for path in inputs:
        shards = sorted(path.rglob("*.tar")) if path.is_dir() else [path]
        if not shards or not all(shard.is_file() for shard in shards):
            raise FileNotFoundError(f"{path}: no such shard, or a folder without *.tar")
        found += shards
    return found


@contextmanager
def claimed(folder: Path, settings: dict[str, Any]) -> Iterator[None]:
    """Make the folder this process's own to write shards of the settings into.

    What killed processes left unfinished is deleted.

    Raises:
        SettingsError: it was begun with other settings, or another process is writing to it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _lock(descriptor, folder)
        _settle(folder, settings)
        _remove_unfinished(folder)
        yield
        _remove_unfinished(folder)  # of machines that were lost
    finally:
        os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> None:
    """Held until the descriptor is closed, or the process is gone."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise SettingsError(f"{folder}: another process is writing to it") from error
    except OSError:  # some network file systems cannot lock
        pass


def _settle(folder: Path, settings: dict[str, Any]) -> None:
    """Note the settings in the folder; SettingsError where they differ from those there."""
    file = folder / SETTINGS
    settings = json.loads(json.dumps(settings))
    if not file.exists():
        with whole_or_not(file) as unfinished:
            unfinished.write_text(json.dumps(settings, indent=1) + "\n")
        return
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise SettingsError(f"{file} is damaged: {error}. Take another folder") from error
    changed = [
        f"{name} was {_short(found.get(name))} and is {_short(settings.get(name))}"
        for name in {**found, **settings}
        if found.get(name) != settings.get(name)
    ]
    if changed:
        raise SettingsError(
            f"{folder} was begun with other settings: {'; '.join(changed)}. "
            "Take the same ones to continue it, or another folder"
        )


def _remove_unfinished(folder: Path) -> None:
    for path in folder.glob("*.part-*"):
        path.unlink()


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) < 200 else f"{text[:200]}..."
