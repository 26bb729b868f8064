# SPDX-License-Identifier: Apache-2.0
"""A GPU that is in the machine and not used: why, and what cures it."""

from __future__ import annotations

from pathlib import Path

import torch

# Made by the drivers of NVIDIA's cards and of Jetson's built-in GPU.
DEVICE_FILES = ("dev/nvidia0", "dev/nvhost-gpu", "dev/nvgpu")
INSTALL = "https://pytorch.org/get-started/locally (on a Jetson: NVIDIA's own wheels)"


def unused_gpu(root: Path = Path("/")) -> str:
    """Why torch computes on the CPU although there is a GPU; empty if there is none or it is used.

    Args:
        root: of the file system in which the drivers' device files are.
    """
    found = [name for name in DEVICE_FILES if (root / name).exists()]
    if not found or torch.cuda.is_available():
        return ""
    if torch.version.cuda is None:
        reason = f"torch {torch.__version__} is built for the CPU only"
    else:
        reason = f"torch {torch.__version__} (CUDA {torch.version.cuda}) does not fit its driver"
    return (
        f"computes on the CPU: there is a GPU (/{found[0]}), but {reason}. Install the torch that "
        f"fits it in the node's environment: {INSTALL}"
    )
