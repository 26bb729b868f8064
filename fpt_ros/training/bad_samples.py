# SPDX-License-Identifier: Apache-2.0
"""Samples that cannot be used: named, counted, and too many of them are an error."""

from __future__ import annotations

import math
from pathlib import Path

from tqdm import tqdm

from fpt_ros.training.dataset import Loaded
from fpt_ros.training.distributed import Processes

CHANCE = 1e-6
"""Probability below which chance alone does not explain how many samples are bad."""


def too_many(bad: int, read: int, share: float) -> bool:
    """Whether so many bad ones among those read are no chance where `share` of all may be bad.

    By Chernoff's bound on the binomial distribution's tail.
    """
    if bad <= share * read:
        return False
    found = bad / read
    good = (1 - found) * math.log((1 - found) / (1 - share)) if found < 1 else 0.0
    return share == 0 or read * (found * math.log(found / share) + good) > -math.log(CHANCE)


class TooManyBadSamplesError(ValueError):
    """More samples are bad than allowed."""


class BadSamples:
    """Counts the samples that were read and the bad ones among them, over all processes.

    Bad ones are written to bad_samples.txt in `out`, each once, and shown.
    """

    def __init__(self, out: Path, max_share: float, processes: Processes) -> None:
        self.path = out / "bad_samples.txt"
        self.max_share, self.processes = max_share, processes
        self.read = self.bad = 0
        self._new: list[str] = []
        self._new_read = 0

    def add(self, loaded: Loaded) -> None:
        """Note what this process has read."""
        self._new += loaded.bad
        self._new_read += len(loaded.names) + len(loaded.bad)

    def report(self) -> None:
        """Bring the notes of all processes together; every process calls it at the same time.

        Raises:
            TooManyBadSamplesError: more than the allowed share; in every process.
        """
        gathered = self.processes.gather((self._new, self._new_read))
        self._new, self._new_read = [], 0
        new = [text for texts, _ in gathered for text in texts]
        self.bad += len(new)
        self.read += sum(count for _, count in gathered)
        if new and self.processes.first:
            self._write(new)
        if too_many(self.bad, self.read, self.max_share):
            raise TooManyBadSamplesError(
                f"{self.bad} of {self.read} samples read are bad, more than the share of "
                f"{self.max_share:g} that max_bad_share allows; they are named in {self.path}"
            )

    def state(self) -> dict[str, int]:
        return {"read": self.read, "bad": self.bad}

    def load_state(self, state: dict[str, int]) -> None:
        self.read, self.bad = state["read"], state["bad"]

    def _write(self, texts: list[str]) -> None:
        known = set(self.path.read_text().splitlines()) if self.path.exists() else set()
        with self.path.open("a") as file:
            for text in texts:
                if text not in known:
                    known.add(text)
                    file.write(f"{text}\n")
                    tqdm.write(f"bad sample: {text}")
