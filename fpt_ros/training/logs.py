# SPDX-License-Identifier: Apache-2.0
"""Where figures go: log.jsonl, TensorBoard, and Weights & Biases where it is wanted."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any

from torch.utils.tensorboard import SummaryWriter


class RunLog:
    """Figures of a training by step, in the folder `out`.

    Args:
        step: where the training goes on; later records of an earlier attempt are dropped.
        settings: noted with W&B.
        project: of W&B; None: not used.

    Raises:
        RuntimeError: W&B is wanted and not installed.
    """

    def __init__(self, out: Path, step: int, settings: dict[str, Any], project: str | None) -> None:
        self._path = out / "log.jsonl"
        records = self._path.read_text().splitlines() if self._path.exists() else []
        kept = [record for record in records if json.loads(record)["step"] <= step]
        self._path.write_text("".join(f"{record}\n" for record in kept))
        self._board = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)
        self._wandb = None
        if project is not None:
            self._wandb = _wandb_run(out, settings, project)

    def write(self, step: int, figures: dict[str, float]) -> None:
        """Append figures, whose names read group/name."""
        with self._path.open("a") as log:
            log.write(json.dumps({"step": step, **figures}) + "\n")
        for name, value in figures.items():
            self._board.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(figures, step=step)

    def close(self) -> None:
        self._board.close()
        if self._wandb is not None:
            self._wandb.finish()


def _wandb_run(out: Path, settings: dict[str, Any], project: str) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise RuntimeError("--wandb needs W&B: pip install 'fpt_ros[wandb]'") from error
    known = out / "wandb-id.txt"  # a resumed training goes on in the same run
    if not known.exists():
        known.write_text(secrets.token_hex(4))
    return wandb.init(
        project=project,
        name=out.resolve().name,
        id=known.read_text(),
        dir=out,
        config=settings,
        resume="allow",
    )
