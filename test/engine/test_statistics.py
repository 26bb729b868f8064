# SPDX-License-Identifier: Apache-2.0
"""Counts since an activation, and a fault that lasts until something succeeds."""

from __future__ import annotations

import math

from fpt_ros.engine.statistics import Statistics


def test_counts_start_anew_and_a_fault_stays():
    statistics = Statistics()
    statistics.count("images")
    statistics.refused("pokes: too long")
    statistics.took("embed", 0.002)
    statistics.failed("no such file")
    assert (statistics.total("images"), statistics.total("refused")) == (1, 1)
    assert statistics.percentiles("embed") == "2.0 / 2.0"
    statistics.restart()
    assert (statistics.total("images"), statistics.last_refusal) == (0, "")
    assert statistics.percentiles("embed") == "none yet"
    assert statistics.age("images") == math.inf
    assert statistics.fault == "no such file"
    statistics.succeeded()
    assert statistics.fault == ""


def test_rate_and_age():
    statistics = Statistics()
    for _ in range(10):
        statistics.count("images")
    assert statistics.rate("images") == 10.0  # in less than the first second
    assert 0 <= statistics.age("images") < 1
