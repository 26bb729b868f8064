# SPDX-License-Identifier: Apache-2.0
"""The training loop: steps, and on the way validation, logs and checkpoints."""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tqdm import tqdm

from fpt_ros.data.shards import whole_or_not
from fpt_ros.eval.threshold import choose_motion_threshold
from fpt_ros.model import save_checkpoint
from fpt_ros.training.bad_samples import BadSamples
from fpt_ros.training.dataset import Loaded, MomentDataset, make_loader
from fpt_ros.training.loading import LoadingError, batches, check_shared_memory
from fpt_ros.training.logs import RunLog
from fpt_ros.training.order import Order
from fpt_ros.training.recipes import check, differences
from fpt_ros.training.trainer import NotFiniteError, Trainer

if TYPE_CHECKING:
    from fpt_ros.training.index import ShardIndex
    from fpt_ros.training.stopping import Stop
    from fpt_ros.training.validation import Validation

SHOWN = ("nll", "pair", "epe", "pck_0.01")
CHECKPOINT, MODEL = "checkpoint.pt", "model.safetensors"


@dataclass(frozen=True)
class Running:
    """How a training is run; nothing of it changes what comes out."""

    workers: int = 2
    """Processes that prepare batches, for each process that trains."""
    report_every: int = 10
    """Steps between records in the logs."""
    validate_every: int = 250
    """Steps between validations."""
    val_samples: int = 96
    """Clips that it is validated on, at most."""
    save_every: int = 250
    """Steps between checkpoints."""
    max_bad_share: float = 0.01
    """More bad samples among those read are an error."""
    wandb: str | None = None
    """Project of Weights & Biases to log to."""

    def __post_init__(self) -> None:
        check(self, "workers", 0, math.inf)
        for name in ("report_every", "validate_every", "save_every", "val_samples"):
            check(self, name, 1, math.inf)
        check(self, "max_bad_share", 0, 1)


class Loop:
    """A training from its first step, or where it was resumed, to its last.

    Args:
        out: folder for checkpoints and logs.
    """

    def __init__(
        self,
        trainer: Trainer,
        index: ShardIndex,
        validation: Validation | None,
        out: Path,
        running: Running,
    ) -> None:
        self.trainer, self.index, self.validation = trainer, index, validation
        self.out, self.running = out, running
        self.processes = trainer.processes
        self.bad = BadSamples(out, running.max_bad_share, self.processes)
        self.seconds = 0.0
        out.mkdir(parents=True, exist_ok=True)

    def run(self, stop: Stop) -> bool:
        """Train to the end, True, or until `stop` has a reason, False; saved in both cases.

        Raises:
            NotFiniteError: the batch has been written to nan_batch.pt.
            TooManyBadSamplesError: more than allowed.
            LoadingError: batches do not come.
        """
        settings = asdict(self.trainer.recipe)
        first = self.processes.first
        self._log = (
            RunLog(self.out, self.trainer.step, settings, self.running.wandb) if first else None
        )
        try:
            return self._run(stop)
        finally:
            if self._log is not None:
                self._log.close()

    def _run(self, stop: Stop) -> bool:
        trainer, every = self.trainer, self.running
        last = trainer.recipe.steps
        self._since = time.monotonic()
        hidden = not self.processes.first
        if trainer.step == 0:
            self._validate()  # what the training starts from
        with tqdm(total=last, initial=trainer.step, unit=" steps", disable=hidden) as bar:
            for loaded in batches(self._loader(), lambda: bool(stop.reason)):
                report = (trainer.step + 1) % every.report_every == 0
                figures = self._step(loaded, report)
                self.bad.add(loaded)
                bar.update()
                if report:
                    self._report(loaded, figures, bar)
                stopped = self.processes.any(bool(stop.reason))
                ended = trainer.step == last or stopped
                if trainer.step % every.validate_every == 0 or trainer.step == last:
                    self._validate()
                if trainer.step % every.save_every == 0 or ended:
                    self.save()
                if ended:
                    break
            else:
                self._stopped_waiting()
        if trainer.step >= last:
            self._choose_motion_threshold()
        return trainer.step >= last

    def _stopped_waiting(self) -> None:
        """Save, unless that would wait for processes that wait for this one."""
        if self.trainer.step < self.trainer.recipe.steps:
            if self.processes.count > 1:
                raise LoadingError("stopped while waiting for a batch: go on with --resume")
            self.save()

    def _choose_motion_threshold(self) -> None:
        """Put what finds the moving part of validation clips best into the model's config."""
        if self.validation is None or not self.processes.first:
            return
        model = self.trainer.averaged_model
        moments = self.validation.moments()
        if not moments:  # bodies are unknown: nobody knows what the moving part is
            return
        try:
            threshold = choose_motion_threshold(model.eval(), moments)
        except ValueError as error:
            tqdm.write(f"motion_threshold stays {model.config.motion_threshold}: {error}")
            return
        model.config = replace(model.config, motion_threshold=threshold)
        save_checkpoint(self.trainer.model_to_ship(), self.out / MODEL)

    def _loader(self) -> torch.utils.data.DataLoader[Loaded]:
        trainer, processes = self.trainer, self.processes
        order = Order(
            *self.index.portions, trainer.recipe, trainer.step, processes.rank, processes.count
        )
        dataset = MomentDataset(self.index, trainer.recipe)
        pinned = processes.device.type == "cuda"
        check_shared_memory(dataset, next(iter(order), []), self.running.workers)
        return make_loader(dataset, order, self.running.workers, pinned)

    def _step(self, loaded: Loaded, report: bool) -> dict[str, float]:
        try:
            return self.trainer.train_step(loaded, report)
        except NotFiniteError as error:
            rank = self.processes.rank
            path = self.out / (f"nan_batch-{rank}.pt" if rank else "nan_batch.pt")
            content = {
                "batch": loaded.batch._asdict(),
                "samples": loaded.names,
                "model": self.trainer.model.state_dict(),
                "step": self.trainer.step,
            }
            torch.save(content, path)
            raise NotFiniteError(f"{error}. The batch and the weights are in {path}") from error

    def _report(self, loaded: Loaded, figures: dict[str, float], bar: tqdm) -> None:
        """Figures of the last step to the bar and the logs. Every process takes part."""
        self.bad.report()
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        self.seconds += seconds
        batch = loaded.batch
        pictures = len(batch.images) * self.processes.count * self.running.report_every
        figures = {
            **figures,
            "poke_length": batch.poke_flow.norm(dim=-1).mean().item(),
            "flow_length": batch.query_flow.norm(dim=-1).mean().item(),
            "camera_static": batch.camera_static.double().mean().item(),
        }
        names, values = list(figures), self.processes.sum(list(figures.values()))
        means = {n: v / self.processes.count for n, v in zip(names, values, strict=True)}
        bar.set_postfix({n: f"{means[n]:.3f}" for n in SHOWN if n in means})
        if self._log is not None:
            record = {f"train/{name}": value for name, value in means.items()}
            record |= {"samples_per_second": pictures / seconds, "seconds": self.seconds}
            self._log.write(self.trainer.step, record)

    def _validate(self) -> None:
        if self.validation is None:
            return
        figures = self.validation.measure(self.trainer.averaged_loss)
        if self._log is not None:
            self._log.write(self.trainer.step, {f"val/{n}": v for n, v in figures.items()})
            shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
            tqdm.write(f"step {self.trainer.step}: {shown}")
        self._since = time.monotonic()

    def save(self) -> None:
        """Write `checkpoint.pt` to resume from and `model.safetensors` to use, both whole."""
        self.bad.report()
        state = self.trainer.state() | self._position_in_data
        state |= {
            "bad_samples": self.bad.state(),
            "seconds": self.seconds,
        }
        if not self.processes.first:
            return
        with whole_or_not(self.out / CHECKPOINT) as unfinished:
            torch.save(state, unfinished)
        save_checkpoint(self.trainer.model_to_ship(), self.out / MODEL)

    def resume(self) -> None:
        """Go on where `checkpoint.pt` was saved.

        Raises:
            ValueError: it was begun with other settings or data; names what differs.
        """
        path = self.out / CHECKPOINT
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        mine = self._position_in_data
        was, now = state["recipe"], asdict(self.trainer.recipe)
        for recipe in (was, now):  # other processes may share the same pictures
            del recipe["sampling"]["images"]
        changed = differences(was, now)
        changed += differences(state, mine)
        if changed:
            raise ValueError(
                f"{path} was begun with other settings: {'; '.join(changed)}. Take the same ones "
                "to resume it, or begin another training from its weights with --from"
            )
        self.trainer.load_state(state)
        self.bad.load_state(state["bad_samples"])
        self.seconds = state["seconds"]

    @property
    def _position_in_data(self) -> dict[str, Any]:
        """What it follows from, together with the step."""
        asked = ("skips", "horizon", "weight", "camera")
        sources = [{name: getattr(source, name) for name in asked} for source in self.index.sources]
        return {
            "data": self.index.fingerprint,
            "sources": json.dumps(sources),
            "pictures_a_step": self.trainer.recipe.sampling.images * self.processes.count,
        }
