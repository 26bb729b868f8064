# SPDX-License-Identifier: Apache-2.0
"""Batches from the processes that prepare them: enough shared memory, and no wait without an end.

A worker process hands a batch over in /dev/shm. Where that is full, as it soon is with the 64 MB
that Docker gives, the batch is lost without a word, and PyTorch waits for it for ever.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fpt_ros.training.dataset import PREFETCHED

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from fpt_ros.training.dataset import Loaded, MomentDataset
    from fpt_ros.training.order import Request

SHARED_MEMORY = Path("/dev/shm")
LONGEST_WAIT = 600.0
"""Seconds after which a batch is given up."""
IN_USE = 2
"""Batches that were taken from the workers and are still there."""


class LoadingError(RuntimeError):
    """Batches do not come, or cannot."""


def check_shared_memory(
    dataset: MomentDataset, first: list[Request], workers: int, folder: Path = SHARED_MEMORY
) -> None:
    """LoadingError unless the batches that are prepared ahead fit into shared memory.

    Draws a first sample to see how large they are.

    Args:
        first: what the first batch consists of.
        folder: where shared memory is mounted.
    """
    if not workers or not first or not folder.is_dir():
        return
    fields = dataset[first[0]].fields
    batch = len(first) * sum(field.nbytes for field in fields.values())
    here = int(os.environ.get("LOCAL_WORLD_SIZE", 1))  # processes that train on this machine
    needed = here * batch * (workers * PREFETCHED + IN_USE)
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    if needed > free:
        raise LoadingError(
            f"shared memory is too small: {folder} has {free / 1e6:.0f} MB free, batches of "
            f"{batch / 1e6:.1f} MB prepared ahead need {needed / 1e6:.0f} MB. Give it more "
            f"(docker run --shm-size={2 * needed / 1e6:.0f}m), or take fewer --workers, down to 0"
        )


def batches(
    loader: DataLoader[Loaded], stopped: Callable[[], bool], longest: float = LONGEST_WAIT
) -> Iterator[Loaded]:
    """The loader's batches, until one does not come and it is `stopped`.

    Raises:
        LoadingError: none came for `longest` seconds, or a worker process has died.
    """
    arriving = iter(loader)
    since = time.monotonic()
    while True:
        try:
            loaded = next(arriving)
        except StopIteration:
            return
        except RuntimeError as error:
            if "timed out" not in str(error):
                raise LoadingError(f"preparing batches: {error}") from error
            if stopped():
                return
            waited = time.monotonic() - since
            if waited >= longest:
                raise LoadingError(
                    f"no batch came for {waited:.0f} s: the data cannot be read, or the "
                    f"processes that prepare batches lack memory ({SHARED_MEMORY} included)"
                ) from error
            continue
        yield loaded
        since = time.monotonic()
