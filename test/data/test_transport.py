# SPDX-License-Identifier: Apache-2.0
"""Gaps in transport streams that are written here byte by byte."""

import pytest

from fpt_ros.data.transport import losses

PID = 0x100


def packet(counter, pid=PID, content=b"", flags=None):
    """Of 188 bytes. flags: of an adaptation field before the content."""
    field = b"" if flags is None else bytes([1, flags])
    control = (0x30 if field else 0x10) | counter % 16
    head = bytes([0x47, pid >> 8, pid & 255, control]) + field
    return head + content.ljust(188 - len(head), b"\xff")


def places(folder, packets, size=188, before=b""):
    """Numbers of the packets before which some are missing."""
    path = folder / "stream.ts"
    path.write_bytes(before + b"".join(one.ljust(size, b"\0") for one in packets))
    return [(at - len(before)) / size for at in losses(path, PID)]


@pytest.mark.parametrize("size", [188, 192, 204])
@pytest.mark.parametrize("before", [b"", b"\x47\0\1" * 26], ids=["", "garbage"])
def test_gaps_are_found(tmp_path, size, before):
    whole = [packet(number, content=bytes([number])) for number in range(40)]
    others = [packet(5, pid=0x11) for _ in range(4)]
    assert places(tmp_path, [*whole[:20], *others, *whole[20:]], size, before) == []
    cut = [*whole[:3], *others[:2], *whole[4:20], *whole[32:]]
    assert places(tmp_path, cut, size, before) == [5, 21]


def test_what_is_no_gap(tmp_path):
    """A packet sent twice, a counter that the stream says begins anew, one without content."""
    twice = packet(2, content=b"a" * 20)
    empty = bytearray(packet(3))
    empty[3] = 0x23
    stream = [packet(1), twice, twice, bytes(empty), packet(3), packet(9, flags=0x80), packet(10)]
    assert places(tmp_path, stream) == []
    other = packet(2, content=b"b" * 20)
    assert places(tmp_path, [packet(1), twice, other]) == [2]


def test_bytes_missing_within_a_packet(tmp_path):
    stream = b"".join(packet(number) for number in range(30))
    path = tmp_path / "stream.ts"
    path.write_bytes(stream[: 10 * 188 + 50] + stream[11 * 188 + 90 :])
    assert losses(path, PID) == [10 * 188 + 50 + 98 + 188]  # the first read whole
    path.write_bytes(stream[: 10 * 188 + 50])
    assert losses(path, PID) == []
    path.write_bytes(b"no stream")
    assert losses(path, PID) == []
