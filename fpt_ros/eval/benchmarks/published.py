# SPDX-License-Identifier: Apache-2.0
"""Figures that others published on the benchmarks, with where they stand."""

from __future__ import annotations

SPELKEBENCH_SOURCE = "table in the README of neuroailab/SpelkeNet (arXiv 2507.16038)"
SPELKEBENCH = {
    "SAM2": (0.4816, 0.6225),
    "DINOv1-B/8": (0.2708, 0.4990),
    "DINOv2-L/14": (0.2524, 0.4931),
    "DINOv2-G/14": (0.2254, 0.4553),
    "CWM": (0.3271, 0.4807),
    "SpelkeNet": (0.5411, 0.6811),
}
"""AR and mIoU."""
OWM_SOURCE = "table on compvis.github.io/myriad (arXiv 2604.09527)"
OWM = {
    "MAGI-1": 0.037,
    "Wan2.2 I2V": 0.039,
    "CogVideoX 1.5": 0.051,
    "SkyReels V2 (DF)": 0.058,
    "SVD 1.1": 0.054,
    "MYRIAD": 0.029,
}
"""minADE, the best of 5."""
