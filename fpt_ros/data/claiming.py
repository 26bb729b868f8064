# SPDX-License-Identifier: Apache-2.0
"""A folder that one process writes to, with the settings that it was begun with."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fpt_ros.data.shards import whole_or_not

SETTINGS = "settings.json"


class SettingsError(ValueError):
    """A folder holds data of other settings, or is in use."""


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
