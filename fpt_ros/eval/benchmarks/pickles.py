# SPDX-License-Identifier: Apache-2.0
"""Pickles of other people, read without running anything that they name."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np

# The functions that NumPy's own pickles name, as this NumPy has them.
_RECONSTRUCT = np.array(0).__reduce__()[0]
_SCALAR = np.float64(0).__reduce__()[0]
_FROM_BUFFER = np.zeros(2).__reduce_ex__(5)[0]


def _encode(text: str, encoding: str) -> bytes:
    """How the oldest pickles write bytes."""
    if encoding != "latin1":
        raise ValueError(f"it has bytes in the encoding {encoding!r}: must be latin1")
    return text.encode("latin1")


ALLOWED = {
    ("_codecs", "encode"): _encode,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    **{
        (f"numpy.{core}.{module}", name): function
        for core in ("core", "_core")
        for module, name, function in (
            ("multiarray", "_reconstruct", _RECONSTRUCT),
            ("multiarray", "scalar", _SCALAR),
            ("numeric", "_frombuffer", _FROM_BUFFER),
        )
    },
}
"""What a pickle may name: the building of NumPy arrays, under the names of old and new NumPy."""


class ArraysOnly(pickle.Unpickler):
    """Lists, dictionaries, strings, numbers and NumPy arrays; any other name is refused."""

    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise ValueError(
                f"it names {module}.{name}, which could run code: only NumPy arrays are read"
            ) from None


def read_pickle(path: Path) -> Any:
    """The content of a pickle of plain values and NumPy arrays.

    Raises:
        ValueError: it is no pickle, is cut off, or names anything else.
    """
    try:
        with path.open("rb") as file:
            content = ArraysOnly(file).load()
    except (pickle.UnpicklingError, EOFError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"{path}: no pickle that can be read: {error}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return content
