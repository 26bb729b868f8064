"""The training loop: pair loss first, then motion and pair loss together, until a deadline."""

from __future__ import annotations

import json
import math
import time
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from fpt_ros.model import FlowPokeTransformer, save_checkpoint
from fpt_ros.model.efficientnet import EfficientNetLite0Encoder
from fpt_ros.training.batches import Batch, Sampling, draw_batch
from fpt_ros.training.distributed import average, average_number
from fpt_ros.training.pair_loss import PairLoss
from fpt_ros.training.validation import validate

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float

    from fpt_ros.training.scenes import Scene


@dataclass(frozen=True)
class Recipe:
    """Settings of a run. It ends after ``steps`` or ``hours`` of training, whichever is first."""

    steps: int | None = None
    hours: float | None = None
    pair_steps: int = 300
    """First steps, with the pair loss alone."""
    learning_rate: float = 1e-3
    trunk_share: float = 0.25
    """The pretrained trunk learns with this share of the learning rate."""
    warm_up: int = 150
    weight_decay: float = 0.02
    clip: float = 1.0
    pair_weight: float = 2.0
    ema: float = 0.999
    first_noise: float = 0.015
    """Noise on the targets at first; it falls to ``sampling.noise`` over most of the run. Points
    that stay soon get so narrow a distribution that their noise drowns what moving ones teach."""
    seed: int = 0
    validate_every: int = 250
    bfloat16: bool = True
    """Run the transformer (not the encoder) in bfloat16."""
    sampling: Sampling = field(default_factory=Sampling)

    def __post_init__(self) -> None:
        if self.steps is None and self.hours is None:
            raise ValueError("steps and hours are both missing: one must say when to end")


Tensors = tuple[Tensor, ...] | list[Tensor]


def ema_update(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """For ``AveragedModel``: exponential average that follows closely in the first steps."""

    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        now = min(decay, (1 + int(count)) / (10 + int(count)))
        torch._foreach_lerp_(averaged, current, 1 - now)

    return update


class Trainer:
    """A model in training, with everything that a checkpoint must hold to go on."""

    def __init__(
        self,
        model: FlowPokeTransformer,
        recipe: Recipe,
        out: Path,
        rank: int = 0,
    ) -> None:
        self.recipe, self.out, self.rank = recipe, out, rank
        encoder = model.image_embedder.model
        if not isinstance(encoder, EfficientNetLite0Encoder):
            raise ValueError(
                f"encoder is {model.config.encoder}: training needs efficientnet_lite0"
            )
        # The convolutions run faster with the channels innermost.
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model, self.encoder = model, encoder
        self.averaged = AveragedModel(self.model, multi_avg_fn=ema_update(recipe.ema))
        self.pair_loss = PairLoss(encoder.pair_channels)
        self.optimizer = torch.optim.AdamW(
            self._parameter_groups(),
            betas=(0.9, 0.99),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.step = 0
        self.seconds = 0.0
        out.mkdir(parents=True, exist_ok=True)

    @property
    def averaged_model(self) -> FlowPokeTransformer:
        """The model with its weights averaged over the last steps: the one to use."""
        return cast("FlowPokeTransformer", self.averaged.module)

    def _parameter_groups(self) -> list[dict]:
        rate = self.recipe.learning_rate
        trunk = list(self.encoder.trunk.parameters())
        encoder = list(self.encoder.parameters())
        join = [p for p in encoder if all(p is not t for t in trunk)]
        rest = [p for p in self.model.parameters() if all(p is not e for e in encoder)]
        # The transformer's own warm-up begins where the pair loss ceases to be alone.
        return [
            {"params": trunk, "peak": rate * self.recipe.trunk_share, "start": 0},
            {"params": join + list(self.pair_loss.parameters()), "peak": rate, "start": 0},
            {"params": rest, "peak": rate, "start": self.recipe.pair_steps},
        ]

    @property
    def progress(self) -> float:
        """Share of the run that is done, from 0 to 1."""
        by_steps = self.step / self.recipe.steps if self.recipe.steps else 0.0
        by_time = self.seconds / (3600 * self.recipe.hours) if self.recipe.hours else 0.0
        return min(1.0, max(by_steps, by_time))

    @property
    def noise(self) -> float:
        """Standard deviation added to the targets now."""
        last = self.recipe.sampling.noise
        return last * (self.recipe.first_noise / last) ** max(0.0, 1 - self.progress / 0.8)

    def _set_learning_rates(self) -> None:
        decay = 0.5 * (1 + math.cos(math.pi * self.progress))
        for group in self.optimizer.param_groups:
            warmth = min(1.0, max(0, self.step - group["start"] + 1) / self.recipe.warm_up)
            group["lr"] = group["peak"] * warmth * decay

    def losses(self, batch: Batch) -> dict[str, Float[Tensor, ""]]:
        """The pair loss and, once its lead is over, the motions' negative log-likelihood."""
        images = batch.images.contiguous(memory_format=torch.channels_last)
        if self.step < self.recipe.pair_steps:
            features = self.model.image_embedder(images)
            return {"pair": self.pair_loss(features, batch.pair_pos, batch.pair_bodies)}
        embedded = self.model.embed_image(images)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe.bfloat16):
            mixture = self.model.query_causal(
                batch.poke_pos, batch.poke_flow, batch.query_pos, True, embedded
            )
        log_prob = mixture.log_prob(batch.query_flow)
        weight = batch.query_weight
        return {
            "motion": -(log_prob * weight).sum() / weight.sum(),
            "pair": self.pair_loss(embedded.features, batch.pair_pos, batch.pair_bodies),
        }

    def train_step(self, scenes: list[Scene]) -> dict[str, float]:
        """One step on scenes of this process; the losses' values."""
        # Drawn from the step's own seed, so that a resumed run goes on as if never interrupted.
        rng = np.random.default_rng((self.recipe.seed, self.rank, self.step))
        sampling = replace(self.recipe.sampling, noise=self.noise)
        batch = draw_batch(scenes, sampling, rng)
        self._set_learning_rates()
        losses = self.losses(batch)
        total = losses["pair"] * self.recipe.pair_weight + losses.get("motion", 0.0)
        self.optimizer.zero_grad()
        total.backward()
        with torch.no_grad():
            self._apply_gradients()
        self.step += 1
        return {name: loss.item() for name, loss in losses.items()}

    def _apply_gradients(self) -> None:
        parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
        average(p.grad for p in parameters if p.grad is not None)
        # Group by group: the transformer's steep gradients must not silence the encoder's.
        for group in self.optimizer.param_groups:
            nn.utils.clip_grad_norm_(group["params"], self.recipe.clip, error_if_nonfinite=True)
        self.optimizer.step()
        self.averaged.update_parameters(self.model)

    def run(self, train: list[Scene], val: list[Scene]) -> None:
        """Train to the end, validating, logging and saving on the way and at the end."""
        bar = tqdm(total=self.recipe.steps, initial=self.step, disable=self.rank > 0, unit=" steps")
        with bar:
            while self.progress < 1:
                began = time.monotonic()
                losses = self.train_step(train)
                # All processes must agree on the time, or they would not stop together.
                self.seconds += average_number(time.monotonic() - began)
                shown = {name: f"{value:.3f}" for name, value in losses.items()}
                bar.set_postfix(done=f"{self.progress:.1%}", **shown, refresh=False)
                bar.update()
                if self.step % self.recipe.validate_every == 0 or self.progress >= 1:
                    self._report(losses, val)

    def _report(self, losses: dict[str, float], val: list[Scene]) -> None:
        began = time.monotonic()
        measured = validate(self.averaged_model, self.pair_loss, val)
        figures = {f"val_{name}": average_number(value) for name, value in measured.items()}
        self.seconds += average_number(time.monotonic() - began)
        if self.rank > 0:
            return
        record = {"step": self.step, "seconds": round(self.seconds), **losses, **figures}
        with (self.out / "log.jsonl").open("a") as log:
            log.write(json.dumps(record) + "\n")
        shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        tqdm.write(f"step {self.step}, {self.seconds / 60:.1f} min: {shown}")
        self.save()

    def save(self) -> None:
        """Write ``checkpoint.pt`` to resume from and ``model.safetensors`` to use, both whole."""
        state = {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "pair_loss": self.pair_loss.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "recipe": asdict(self.recipe),
        }
        partial = self.out / "checkpoint.partial"
        torch.save(state, partial)
        partial.replace(self.out / "checkpoint.pt")
        save_checkpoint(self.model_to_ship(), self.out / "model.safetensors")

    @torch.no_grad()
    def model_to_ship(self) -> FlowPokeTransformer:
        """The averaged model in half precision: half the size, the same figures."""
        model = deepcopy(self.averaged_model).half()
        # The camera never moves in our scenes: let that condition mean what the other one does.
        model.cond_emb.weight[0] = model.cond_emb.weight[1]
        return model

    def resume(self) -> None:
        """Go on where ``checkpoint.pt`` was saved."""
        state = torch.load(self.out / "checkpoint.pt", map_location="cpu", weights_only=True)
        for part in ("model", "averaged", "pair_loss", "optimizer"):
            getattr(self, part).load_state_dict(state[part])
        self.step, self.seconds = state["step"], state["seconds"]
