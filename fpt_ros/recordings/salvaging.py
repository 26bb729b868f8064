# SPDX-License-Identifier: Apache-2.0
"""What a bag's file holds up to where it was cut off or damaged, in the order of the file."""

from __future__ import annotations

import io
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard
from mcap.exceptions import McapError
from mcap.records import Channel, Chunk, Footer, Message, Schema
from mcap.stream_reader import StreamReader, breakup_chunk

Raw = tuple[str, str, int, bytes]
"""Topic, type, time of recording [ns], CDR."""
CHUNK = 0x06
BROKEN = (McapError, ValueError, struct.error, EOFError, zstandard.ZstdError, RuntimeError, OSError)
"""What readers raise on damaged files."""


class DamagedError(ValueError):
    """A file goes no further; raised after all that it has was given."""


def salvage(file: Path) -> Iterator[Raw]:
    """Messages of an .mcap or .db3 file.

    Raises:
        DamagedError: the file does not end as it should; says so.
    """
    yield from (_sqlite3 if file.suffix == ".db3" else _mcap)(file)


def _mcap(file: Path) -> Iterator[Raw]:
    names: dict[int, str] = {}
    channels: dict[int, Channel] = {}

    def known(record: object) -> Iterator[Raw]:
        if isinstance(record, Schema):
            names[record.id] = record.name
        elif isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message) and record.channel_id in channels:
            channel = channels[record.channel_id]
            kind = names.get(channel.schema_id, "")
            yield channel.topic, kind, record.log_time, bytes(record.data)

    with file.open("rb") as stream:
        for record in _records(stream):
            yield from known(record)


def _records(stream: BinaryIO) -> Iterator[object]:
    """Schemas, channels and messages; DamagedError at the end of a file without a footer."""
    records = iter(StreamReader(stream, emit_chunks=True, record_size_limit=None).records)
    start = 0
    try:
        while True:
            start = stream.tell()
            record = next(records)
            if isinstance(record, Chunk):
                yield from breakup_chunk(record)
            elif isinstance(record, Footer):
                return
            else:
                yield record
    except StopIteration:
        return
    except BROKEN as error:
        stream.seek(start)
        yield from _chunk_without_end(stream)
        size = stream.seek(0, io.SEEK_END)
        raise DamagedError(f"is cut off or damaged after {start} of {size} bytes") from error


def _chunk_without_end(stream: BinaryIO) -> Iterator[object]:
    """The records of a chunk whose end is missing, up to there."""
    head = stream.read(9 + 32)  # opcode, length; first and last time, size, checksum, length
    if len(head) < 41 or head[0] != CHUNK:
        return
    (length,) = struct.unpack("<I", head[37:41])
    compression = stream.read(length)
    stream.read(8)
    data = stream.read()
    if compression == b"zstd":
        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    elif compression:
        return
    try:
        yield from StreamReader(io.BytesIO(data), skip_magic=True).records
    except BROKEN:
        return


def _sqlite3(file: Path) -> Iterator[Raw]:
    database = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
    try:
        # Lets SQLite open a file that is shorter than its header says.
        database.execute("PRAGMA writable_schema=ON")
        topics = {
            number: (name, kind)
            for number, name, kind in database.execute("SELECT id, name, type FROM topics")
        }
        rows = database.execute("SELECT topic_id, timestamp, data FROM messages ORDER BY rowid")
        for number, time, data in rows:
            if number in topics and isinstance(data, bytes):
                yield *topics[number], time, data
    except sqlite3.Error as error:
        raise DamagedError(f"is cut off or damaged: {error}") from error
    finally:
        database.close()
