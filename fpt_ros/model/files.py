# SPDX-License-Identifier: Apache-2.0
"""A checkpoint's bytes: read once, hashed, and from then on nobody else's."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

_BLOCK = 1 << 20


class CheckpointError(ValueError):
    """A checkpoint that is not there, or that is not what it should be."""


@contextmanager
def owned_copy(path: Path) -> Iterator[tuple[str, str]]:
    """The name of a copy of a file that this process alone has, and the copy's SHA-256.

    Tensors that libraries map from a file change when it is written over and kill the process when
    it is truncated; mapped from the copy they do neither. The copy lies in memory, without a name
    in any folder, and lives for as long as something is mapped from it.

    Raises:
        CheckpointError: the file cannot be read.
    """
    digest = hashlib.sha256()
    with _nameless_file() as (copy, name):
        try:
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    digest.update(block)
                    copy.write(block)
            copy.flush()
        except OSError as error:
            raise CheckpointError(f"{path} cannot be read: {error}") from error
        yield name, digest.hexdigest()


@contextmanager
def _nameless_file() -> Iterator[tuple[IO[bytes], str]]:
    """A file in memory (on Linux) or in the folder for temporary files, and its name meanwhile."""
    if not hasattr(os, "memfd_create") or not Path("/proc/self/fd").is_dir():
        with tempfile.NamedTemporaryFile() as file:
            yield file, file.name
        return
    with os.fdopen(os.memfd_create("checkpoint"), "w+b") as file:
        yield file, f"/proc/self/fd/{file.fileno()}"
