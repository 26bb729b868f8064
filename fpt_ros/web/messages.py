# SPDX-License-Identifier: Apache-2.0
"""Messages between the page and the server: a JSON header and arrays behind it.

`static/messages.json` describes them, for both sides.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from pathlib import Path
from typing import Any

import numpy as np

STATIC = Path(__file__).parent / "static"
DESCRIPTION = json.loads((STATIC / "messages.json").read_text())
LIMITS: dict[str, int] = DESCRIPTION["limits"]
TYPES: dict[str, np.dtype[Any]] = {"f4": np.dtype("<f4"), "u1": np.dtype("u1")}
FIELD_TYPES: dict[str, tuple[type, ...]] = {
    "whole": (int,),
    "number": (int, float),
    "text": (str,),
    "flag": (bool,),
}


class MessageError(ValueError):
    """A message that cannot be understood or asks for too much; its text goes to the page."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A checked request. Fields that may be left out, and were, are None."""

    kind: str
    id: int
    fields: dict[str, Any]
    arrays: dict[str, np.ndarray]


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """The message of a header and arrays of float32 or uint8."""
    kept = {
        name: np.ascontiguousarray(values, "u1" if values.dtype == np.uint8 else "<f4")
        for name, values in arrays.items()
    }
    listed = [[name, values.dtype.str[1:], list(values.shape)] for name, values in kept.items()]
    text = json.dumps({**header, "arrays": listed}).encode()
    parts = [struct.pack("<I", len(text)) + text, *(values.tobytes() for values in kept.values())]
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays of a message.

    Raises:
        MessageError: the bytes are no such message.
    """
    try:
        (length,) = struct.unpack_from("<I", data)
        header = json.loads(data[4 : 4 + length])
        at, arrays = _aligned(4 + length), {}
        for name, kind, shape in header.pop("arrays"):
            values = np.frombuffer(data, TYPES[kind], math.prod(shape), at)
            arrays[name] = values.reshape(shape)
            at += _aligned(values.nbytes)
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, RecursionError) as error:
        raise MessageError(f"the message cannot be read: {error}") from error
    return header, arrays


def read_request(data: bytes) -> Request:
    """A request of the page, checked against `static/messages.json`.

    Raises:
        MessageError: what is wrong with it; `id` of the error is the request's, where it has one.
    """
    header, arrays = unpack(data)
    number = header.pop("id", None)
    try:
        if type(number) is not int:
            raise MessageError(f"id is {number!r}: must be a whole number")
        kind = header.pop("kind", None)
        if not isinstance(kind, str) or kind not in DESCRIPTION["requests"]:
            allowed = ", ".join(DESCRIPTION["requests"])
            raise MessageError(f"kind is {kind!r}: must be one of {allowed}")
        wanted = DESCRIPTION["requests"][kind]
        fields = _checked_fields(header, wanted["fields"])
        return Request(kind, number, fields, _checked_arrays(arrays, wanted["arrays"]))
    except MessageError as error:
        error.id = number if type(number) is int else None  # type: ignore[attr-defined]
        raise


def _checked_fields(fields: dict[str, Any], wanted: dict[str, str]) -> dict[str, Any]:
    for name in fields.keys() - wanted.keys():
        raise MessageError(f"{name} is not a field: must be one of {', '.join(wanted)}")
    checked: dict[str, Any] = {}
    for name, kind in wanted.items():
        value: Any = fields.get(name)
        checked[name] = value
        if value is None and kind.endswith("?"):
            continue
        if type(value) not in FIELD_TYPES[kind.removesuffix("?")]:
            raise MessageError(f"{name} is {value!r}: must be a {kind.removesuffix('?')}")
        if name in LIMITS and value > LIMITS[name]:
            raise MessageError(f"{name} is {value}: must be at most {LIMITS[name]}")
    return checked


def _checked_arrays(arrays: dict[str, np.ndarray], wanted: dict[str, Any]) -> dict[str, np.ndarray]:
    """All arrays that are wanted; one that was left out is empty."""
    for name in arrays.keys() - wanted.keys():
        raise MessageError(f"{name} is not an array: must be one of {', '.join(wanted)}")
    checked = {}
    for name, (kind, (most, *rest)) in wanted.items():
        values = arrays.get(name, np.zeros((0, *rest), TYPES[kind]))
        if values.dtype != TYPES[kind] or values.shape[1:] != tuple(rest) or values.ndim == 0:
            raise MessageError(
                f"{name} has type {values.dtype.str[1:]} and shape {list(values.shape)}: "
                f"must be {kind}, {['any', *rest]}"
            )
        if len(values) > LIMITS.get(most, LIMITS["message_bytes"]):
            raise MessageError(f"{name} has {len(values)} rows: must be at most {LIMITS[most]}")
        checked[name] = values
    return checked


def _aligned(length: int) -> int:
    return length + -length % 4
