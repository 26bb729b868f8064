# SPDX-License-Identifier: Apache-2.0
"""Checkpoints on the Hugging Face hub: `hub:OWNER/NAME[@REVISION]/FILE`."""

from __future__ import annotations

import logging
import re
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote

from fpt_ros.model.files import CheckpointError

RELEASED_REPOSITORY = "CompVis/flow-poke-transformer"
RELEASED_LICENSE = "CC-BY-NC-4.0"

# Revisions as in Hugging Face's own `hf://` addresses: two kinds are known to have slashes, and
# what follows them is the file; in others a slash is written as %2F.
_SOURCE = re.compile(
    r"hub:(?P<repo>[\w.-]+/[\w.-]+)"
    r"(@(?P<revision>refs/pr/\d+|refs/convert/[\w.-]+|[\w.%+-]+))?"
    r"/(?P<file>([\w.+-]+/)*[\w.+-]+\.(pt|pth|safetensors))"
)

logger = logging.getLogger(__name__)


class HubFile(NamedTuple):
    """What a source `hub:...` names."""

    repo: str
    revision: str | None
    """A branch, tag, commit or `refs/pr/N`; None: the main branch."""
    file: str
    """Its path in the repository."""


def parse_hub_source(source: str) -> HubFile:
    """The parts of `hub:OWNER/NAME[@REVISION]/FILE`.

    A REVISION ends at the first slash, unless it is `refs/pr/N` or `refs/convert/NAME`; slashes in
    other branches' names are written as %2F (`hub:OWNER/NAME@feature%2Fnew/model.pt`).

    Raises:
        CheckpointError: it does not read so.
    """
    parts = _SOURCE.fullmatch(source)
    if parts is None or {".", ".."} & set(parts["file"].split("/")):
        raise CheckpointError(
            f"checkpoint {source!r}: must read hub:OWNER/NAME[@REVISION]/FILE, FILE ending in .pt, "
            ".pth or .safetensors; a slash in REVISION is written as %2F, except in refs/pr/N"
        )
    revision = parts["revision"]
    return HubFile(parts["repo"], revision and unquote(revision), parts["file"])


def locate_on_hub(source: str, allow_download: bool) -> tuple[Path, str]:
    """The local file of a source `hub:...`, and the licence that its repository implies ('' if
    none).

    Raises:
        CheckpointError: it is not in the local cache, and is not or cannot be downloaded.
    """
    wanted = parse_hub_source(source)
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import LocalEntryNotFoundError
    except ImportError as error:
        raise CheckpointError(
            f"checkpoint {source!r} needs the Python package huggingface_hub"
        ) from error
    repo, revision, file = wanted
    try:
        try:
            path = hf_hub_download(repo, file, revision=revision, local_files_only=True)
        except LocalEntryNotFoundError:
            if not allow_download:
                raise
            path = hf_hub_download(repo, file, revision=revision)
    except LocalEntryNotFoundError as error:
        raise CheckpointError(_not_cached(source, wanted, allow_download, error)) from error
    # Errors of the connection are those of an HTTP library, which changes with the hub's version.
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {source!r} cannot be downloaded: {_in_one_line(error)}"
        ) from error
    if repo != RELEASED_REPOSITORY:
        return Path(path), ""
    _say_released_license()
    return Path(path), RELEASED_LICENSE


def _not_cached(source: str, wanted: HubFile, allow_download: bool, error: Exception) -> str:
    text = f"checkpoint {source!r} is not in the local hub cache"
    if allow_download:  # no connection, or HF_HUB_OFFLINE
        return f"{text} and cannot be downloaded: {_in_one_line(error.__cause__ or error)}"
    command = f"hf download {wanted.repo} {wanted.file}"
    if wanted.revision:
        command += f" --revision {wanted.revision}"
    return f"{text}: allow the download (allow_download), or run: {command}"


def _in_one_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"


@cache
def _say_released_license() -> None:
    logger.warning(
        "the weights of %s are licensed %s: for non-commercial use only",
        RELEASED_REPOSITORY,
        RELEASED_LICENSE,
    )
