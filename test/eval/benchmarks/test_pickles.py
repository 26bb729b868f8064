# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pickle

import numpy as np
import pytest

from fpt_ros.eval.benchmarks.pickles import read_pickle


class Trap:
    """Makes a file where it is unpickled by pickle itself."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("protocol", range(6))
def test_plain_values_and_arrays_come_back(protocol, tmp_path):
    content = {
        "points": np.arange(6, dtype=np.float32).reshape(3, 2),
        "seen": np.array([True, False]),
        "names": ["a", b"bytes", 1.5, None, (1, 2)],
        "scalar": np.float64(0.25),
    }
    (tmp_path / "p.pkl").write_bytes(pickle.dumps(content, protocol))
    found = read_pickle(tmp_path / "p.pkl")
    assert found["names"] == content["names"] and found["scalar"] == 0.25
    for name in ("points", "seen"):
        assert found[name].dtype == content[name].dtype
        assert (found[name] == content[name]).all()


def test_old_numpys_names_are_known(tmp_path):
    new = pickle.dumps(np.arange(3), 2)
    (tmp_path / "p.pkl").write_bytes(
        new.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    )
    assert (read_pickle(tmp_path / "p.pkl") == np.arange(3)).all()


def test_nothing_that_a_pickle_names_is_run(tmp_path):
    trap = tmp_path / "sprung"
    (tmp_path / "p.pkl").write_bytes(pickle.dumps([np.arange(3), Trap(trap)]))
    with pytest.raises(ValueError, match=r"p.pkl: it names _?io.open, which could run code"):
        read_pickle(tmp_path / "p.pkl")
    assert not trap.exists()


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps(list(range(50)))[:-20]])
def test_what_is_no_pickle_is_named(content, tmp_path):
    (tmp_path / "p.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"p.pkl: no pickle that can be read"):
        read_pickle(tmp_path / "p.pkl")
