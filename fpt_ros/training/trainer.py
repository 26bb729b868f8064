# SPDX-License-Identifier: Apache-2.0
"""A model in training: losses, gradients, steps, and everything that must survive a restart."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from fpt_ros.model.small.encoder import EfficientNetLite0Encoder
from fpt_ros.training.averaging import averaged
from fpt_ros.training.distributed import Processes
from fpt_ros.training.loss import TrainingLoss

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from fpt_ros.model import FlowPokeTransformer
    from fpt_ros.training.dataset import Loaded
    from fpt_ros.training.recipes import Recipe

# In the released weights, but never applied; so they have no gradient.
UNUSED = ("cross_out.weight", "mask_token")


class NotFiniteError(ArithmeticError):
    """The loss or a gradient is not a finite number; says where. The step was not taken."""


class Trainer:
    """A model, its average, its optimizer, and the step they are at.

    Args:
        compile: backend of `torch.compile` to run encoder and transformer with; None: as they are.
    """

    def __init__(
        self,
        model: FlowPokeTransformer,
        recipe: Recipe,
        processes: Processes | None = None,
        compile: str | None = None,
    ) -> None:
        self.recipe, self.processes = recipe, processes or Processes()
        model.to(self.processes.device, torch.float32).train()
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.endswith(UNUSED))
        model.image_embedder.requires_grad_(not recipe.freeze_encoder)
        encoder = model.image_embedder.model
        if isinstance(encoder, EfficientNetLite0Encoder) and recipe.frozen_stages:
            encoder.trunk.stem.requires_grad_(False)
            encoder.trunk.stages[: recipe.frozen_stages].requires_grad_(False)
        self.model = model
        self.averaged = averaged(model, recipe.ema)
        self.loss = TrainingLoss(model, recipe).to(self.processes.device)
        if self.loss.convolutional:  # convolutions run faster with the channels innermost
            model.image_embedder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compile:
            model.image_embedder.compile(backend=compile)
            model.transformer.compile(backend=compile)
        self.optimizer = torch.optim.AdamW(
            self._parameter_groups(),
            lr=recipe.learning_rate,
            betas=(0.9, recipe.beta2),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
        self.step = 0
        self._parallel = self._joined_with_others()

    @property
    def averaged_model(self) -> FlowPokeTransformer:
        """The model with its weights averaged over the last steps: the one to use."""
        return cast("FlowPokeTransformer", self.averaged.module)

    @property
    def averaged_loss(self) -> TrainingLoss:
        """What that model is measured with."""
        loss = TrainingLoss(self.averaged_model, self.recipe)
        loss.pair_loss = self.loss.pair_loss
        return loss

    @property
    def leading(self) -> bool:
        """Whether the encoder is still taught by itself, without the motions' likelihood."""
        return self.loss.pair_loss is not None and self.step < self.recipe.pair_steps

    def train_step(self, loaded: Loaded, measured: bool = False) -> dict[str, float]:
        """One step; the losses of this process, the gradients' norms and learning rates.

        Args:
            measured: also how far samples are off.

        Raises:
            NotFiniteError: the weights are left as they were.
        """
        self._set_learning_rates()
        if self.step == self.recipe.pair_steps > 0:
            self._parallel = self._joined_with_others()  # all parameters take part from now on
        batch = loaded.batch.to(self.processes.device)
        found = self._parallel(batch, self.leading, self.step if measured else None)
        self.optimizer.zero_grad()
        found["loss"].backward()
        found |= self._clip()
        numbers = torch.stack([value.detach().double() for value in found.values()]).tolist()
        values = dict(zip(found, numbers, strict=True))
        if not all(map(math.isfinite, numbers)):
            raise NotFiniteError(self._not_finite(values, loaded.names))
        self.optimizer.step()
        self.averaged.update_parameters(self.model)
        self.step += 1
        return values | {f"rate_{g['name']}": g["lr"] for g in self.optimizer.param_groups}

    def state(self) -> dict[str, Any]:
        """All of it, to be saved. Every process must ask for it at the same time."""
        device = self.processes.device
        random = {"cpu": torch.get_rng_state()}
        if device.type == "cuda":
            random["cuda"] = torch.cuda.get_rng_state(device)
        pair = self.loss.pair_loss
        return {
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "pair_loss": None if pair is None else pair.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "random": self.processes.gather(random),
            "recipe": asdict(self.recipe),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """The inverse of `state`; random states of processes that there were not stay."""
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        if self.loss.pair_loss is not None:
            self.loss.pair_loss.load_state_dict(state["pair_loss"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self._parallel = self._joined_with_others()
        if self.processes.rank < len(state["random"]):
            random = state["random"][self.processes.rank]
            torch.set_rng_state(random["cpu"])
            if "cuda" in random and self.processes.device.type == "cuda":
                torch.cuda.set_rng_state(random["cuda"], self.processes.device)

    @torch.no_grad()
    def model_to_ship(self) -> FlowPokeTransformer:
        """The averaged model, in the precision that the recipe wants."""
        model = deepcopy(self.averaged_model)
        return model.half() if self.recipe.half else model

    def _parameter_groups(self) -> list[dict[str, Any]]:
        encoder = self.model.image_embedder.model
        trunk = encoder.trunk if isinstance(encoder, EfficientNetLite0Encoder) else encoder
        pretrained = {id(p) for p in trunk.parameters()}
        joining = {id(p) for p in encoder.parameters()} - pretrained
        for taught_with_it in (self.loss.pair_loss, self.loss.modes):
            if taught_with_it is not None:
                joining |= {id(p) for p in taught_with_it.parameters()}
        groups: dict[str, list[nn.Parameter]] = {"trunk": [], "join": [], "transformer": []}
        for parameter in self.loss.parameters():
            mine = id(parameter)
            name = "trunk" if mine in pretrained else "join" if mine in joining else "transformer"
            groups[name] += [parameter] if parameter.requires_grad else []
        return [{"name": n, "params": params} for n, params in groups.items() if params]

    def _set_learning_rates(self) -> None:
        lead = self.recipe.pair_steps if self.loss.pair_loss is not None else 0
        for group in self.optimizer.param_groups:
            share = self.recipe.trunk_share if group["name"] == "trunk" else 1.0
            # The transformer's own warm-up begins where the encoder ceases to learn alone.
            start = lead if group["name"] == "transformer" else 0
            group["lr"] = self.recipe.rate_at(self.step, share, start)

    def _clip(self) -> dict[str, Float[Tensor, ""]]:
        """Cut the gradients off at the longest allowed; their norms before."""
        groups = {group["name"]: group["params"] for group in self.optimizer.param_groups}
        if not self.recipe.clip_by_group:
            groups = {"all": [p for params in groups.values() for p in params]}
        return {
            f"gradient_{name}": nn.utils.clip_grad_norm_(params, self.recipe.clip)
            for name, params in groups.items()
        }

    def _joined_with_others(self) -> nn.Module:
        if self.processes.count == 1:
            return self.loss
        return DistributedDataParallel(
            self.loss,
            gradient_as_bucket_view=True,
            find_unused_parameters=self.leading,
        )

    def _not_finite(self, values: dict[str, float], names: list[str]) -> str:
        wrong = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
        where = [
            name
            for name, p in self.loss.named_parameters()
            if p.grad is not None and not bool(p.grad.isfinite().all())
        ]
        return (
            f"step {self.step}: {', '.join(wrong)}; gradients are not finite in {len(where)} "
            f"parameters ({', '.join(where[:3])} …); samples: {', '.join(names)}"
        )
