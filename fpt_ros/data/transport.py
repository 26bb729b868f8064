# SPDX-License-Identifier: Apache-2.0
"""Where packets of an MPEG transport stream are missing (ISO/IEC 13818-1, section 2.4.3).

ffmpeg notices that, too, but tells it of the frame before the one that lacks something, and of none
where that is the first. The decoder notices it often, and not always.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jaxtyping import Int, UInt8

SYNC = 0x47
"""The first byte of each packet."""
SIZES = (188, 192, 204)
"""Bytes from one packet to the next: as they are, with a stamp before each, with parity behind."""
IN_STEP = 5
"""Packets that have to begin at the same distance, for the first to be taken for one."""
SEARCHED = 4096
"""Bytes searched for the next packet at once."""


def losses(path: Path, pid: int) -> list[int]:
    """Bytes from the file's start to the packets of a stream before which some are missing: their
    counter, of 4 bits, does not go on by one. 16 missing ones in a row are not noticed."""
    data = np.memmap(path, np.uint8, "r")
    at, head = _packets(data, pid)
    step = np.diff(head[:, 3] & 0xF) % 16
    # The stream itself may tell that its counter starts anew.
    told = (head[:, 3] & 0x20 != 0) & (head[:, 4] > 0) & (head[:, 5] & 0x80 != 0)
    found = []
    for number in np.flatnonzero((step != 1) & ~told[1:]) + 1:
        one, other = (data[place : place + SIZES[0]] for place in at[number - 1 : number + 1])
        sent_twice = step[number - 1] == 0 and np.array_equal(one[12:], other[12:])
        found += [] if sent_twice else [int(at[number])]
    return found


def _packets(
    data: UInt8[np.ndarray, " n"], pid: int
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, "p 6"]]:
    """Where those of a stream begin that carry data, and their first bytes."""
    places, heads = [np.zeros(0, int)], [np.zeros((0, 6), int)]
    for start, size, head in _runs(data):
        of_stream = ((head[:, 1] & 0x1F).astype(int) << 8 | head[:, 2]) == pid
        chosen = np.flatnonzero(of_stream & (head[:, 3] & 0x10 != 0))
        places.append(start + size * chosen)
        heads.append(head[chosen].astype(int))
    return np.concatenate(places), np.concatenate(heads)


def _runs(data: UInt8[np.ndarray, " n"]) -> Iterator[tuple[int, int, UInt8[np.ndarray, "p 6"]]]:
    """Start, size and first bytes of packets that follow each other."""
    at = 0
    while at < len(data):
        size = next((s for s in SIZES if np.all(data[at : at + IN_STEP * s : s] == SYNC)), None)
        count = (len(data) - at) // size if size else 0
        if not size or not count:
            ahead = np.flatnonzero(data[at + 1 : at + 1 + SEARCHED] == SYNC)
            at += 1 + int(ahead[0]) if len(ahead) else SEARCHED
            continue
        packets = data[at : at + count * size].reshape(count, size)
        other = packets[:, 0] != SYNC
        count = int(other.argmax()) if other.any() else count
        yield at, size, packets[:count, :6]
        at += count * size
