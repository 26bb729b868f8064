# SPDX-License-Identifier: Apache-2.0
"""``fpt-train``: train a Flow Poke Transformer on shards of tracked clips.

On a CPU with N cores: ``OMP_NUM_THREADS=1 torchrun --nproc-per-node N -m fpt_ros.training …``
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import sys
import tarfile
import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from fpt_ros.command_line import CommandParser
from fpt_ros.data.clips import SampleError
from fpt_ros.model import FlowPokeTransformer, ModelConfig, SmallModelConfig
from fpt_ros.training.bad_samples import TooManyBadSamplesError
from fpt_ros.training.distributed import Processes, joined_processes
from fpt_ros.training.index import ShardIndex
from fpt_ros.training.loading import LoadingError
from fpt_ros.training.loop import CHECKPOINT, Loop, Running
from fpt_ros.training.recipes import RECIPES, Recipe, Sampling
from fpt_ros.training.sources import read_sources
from fpt_ros.training.starting import (
    ENCODER_WEIGHTS,
    start_from_checkpoint,
    start_from_encoder,
    with_modes,
)
from fpt_ros.training.stopping import Stop
from fpt_ros.training.trainer import NotFiniteError, Trainer
from fpt_ros.training.validation import Validation

WITH_ANY_WEIGHTS = ("image_size", "horizon", "license", "modes")
"""Of the model's settings, those that fine-tuning may change; the others come with the weights."""


def make_parser() -> argparse.ArgumentParser:
    """The command line; settings that are not given are the recipe's."""
    parser = CommandParser(prog="fpt-train", description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    add(
        "--data", type=Path, nargs="+", required=True,
        help="shards, folders of shards, or one .yaml file of sources with settings of their own",
    )  # fmt: skip
    add("--val", type=Path, nargs="+", default=[], help="the same, to validate on")
    add("--out", type=Path, required=True, help="folder for checkpoints and logs")
    add("--recipe", choices=RECIPES, default="base")
    add("--from", dest="start", metavar="CHECKPOINT", help="embedded, hub:... or a file: fine-tune")
    add("--encoder-weights", default="auto", help=f"{ENCODER_WEIGHTS} (default: auto)")
    add("--allow-download", action="store_true", help="of a checkpoint hub:...")
    add("--resume", action="store_true", help="go on from the last checkpoint in --out, if any")
    add("--stop-after", type=float, metavar="HOURS", help="save and end then; go on with --resume")
    add("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add("--compile", nargs="?", const="inductor", metavar="BACKEND", help="use torch.compile")
    running = parser.add_argument_group("how it runs")
    meanings = _meanings(Running)
    for field in dataclasses.fields(Running):
        _add_setting(running, field, meanings, [("", field.default)])
    settings = parser.add_argument_group("settings, by default the recipe's")
    for owner, get in _OWNERS.items():
        owned = {name: get(recipe) for name, recipe in RECIPES.items()}
        for field in _own_fields(owner):
            if field.name not in ("sampling", "model", "motion_threshold"):
                having = {name: found for name, found in owned.items() if isinstance(found, owner)}
                defaults = [(name, getattr(found, field.name)) for name, found in having.items()]
                _add_setting(settings, field, _meanings(owner), defaults)
    return parser


_OWNERS: dict[type, Any] = {
    Recipe: lambda recipe: recipe,
    Sampling: lambda recipe: recipe.sampling,
    ModelConfig: lambda recipe: recipe.model,
    SmallModelConfig: lambda recipe: recipe.model,
}


def _own_fields(owner: type) -> list[dataclasses.Field]:
    """Those of its fields that no class above it has."""
    above = {name for base in owner.__bases__ for name in getattr(base, "__annotations__", ())}
    return [field for field in dataclasses.fields(owner) if field.name not in above]


def _meanings(owner: type) -> dict[str, str]:
    """The strings below a dataclass's fields, by field."""
    lines: Any = ast.parse(inspect.getsource(owner)).body[0]
    return {
        ast.unparse(field.target): " ".join(ast.literal_eval(below.value).split())
        for field, below in pairwise(lines.body)
        if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr)
    }


def _add_setting(
    group: argparse._ArgumentGroup,
    field: dataclasses.Field,
    meanings: dict[str, str],
    defaults: list[tuple[str, Any]],
) -> None:
    """An option for a field, of the field's type, that is None where it is not given."""
    option = f"--{field.name.replace('_', '-')}"
    value = defaults[0][1]
    shown = ", ".join(f"{name} {default}".strip() for name, default in defaults)
    shown = f"{meanings.get(field.name, '')} ({shown})".strip().replace("%", "%%")
    if isinstance(value, bool):
        group.add_argument(option, action=argparse.BooleanOptionalAction, help=shown, default=None)
        return
    kind = str if value is None else _numbers if isinstance(value, tuple) else type(value)
    group.add_argument(option, type=kind, help=shown, metavar=field.name.split("_")[-1].upper())


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def make_recipe(options: argparse.Namespace) -> Recipe:
    """The chosen recipe, changed as the command line says."""
    recipe = RECIPES[options.recipe]
    own = {field.name for field in dataclasses.fields(recipe.model)}
    foreign = sorted(_given(options, SmallModelConfig).keys() - own)
    if foreign:
        raise ValueError(
            f"{', '.join(foreign)}: not a setting of the {options.recipe} recipe's model: must be "
            "given with --recipe small alone"
        )
    sampling = dataclasses.replace(recipe.sampling, **_given(options, Sampling))
    model = dataclasses.replace(recipe.model, **_given(options, type(recipe.model)))
    changes = _given(options, Recipe)
    return dataclasses.replace(recipe, sampling=sampling, model=model, **changes)


def _given(options: argparse.Namespace, owner: type) -> dict[str, Any]:
    values = {f.name: getattr(options, f.name, None) for f in dataclasses.fields(owner)}
    return {name: value for name, value in values.items() if value is not None}


def main(arguments: list[str] | None = None) -> None:
    """Train as the command line says."""
    # bfloat16 goes through norms with float32 weights: slower than it might be, but right.
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    parser = make_parser()
    options = parser.parse_args(arguments)
    with joined_processes(options.device) as processes:
        try:
            loop = prepare(options, processes)
        except (ValueError, OSError, RuntimeError, tarfile.TarError) as error:
            sys.exit(f"{parser.prog}: {error}")
        try:
            run(loop, Stop(options.stop_after))
        except (NotFiniteError, TooManyBadSamplesError, SampleError, LoadingError) as error:
            # Errors of worker processes come with their traceback before them.
            sys.exit(f"{parser.prog}: {str(error).strip().splitlines()[-1]}")


def starting_model(
    options: argparse.Namespace, recipe: Recipe
) -> tuple[FlowPokeTransformer, Recipe]:
    """The model to train, and the recipe with its settings."""
    if options.start is None:
        weights = "none" if resumes(options) else options.encoder_weights
        return start_from_encoder(recipe.model, weights), recipe
    if options.encoder_weights != "auto":
        raise ValueError("--encoder-weights is given beside --from, whose encoder it would replace")
    given = _given(options, SmallModelConfig)
    refused = sorted(set(given) - set(WITH_ANY_WEIGHTS))
    if refused:
        raise ValueError(f"{', '.join(refused)}: not to be chosen beside --from, which brings them")
    model = start_from_checkpoint(options.start, options.allow_download, given.get("image_size"))
    has_modes = getattr(model.config, "modes", 0)
    wanted_modes = given.pop("modes", has_modes)
    if wanted_modes != has_modes:
        model = with_modes(model, wanted_modes)
    license_ = model.config.license
    if license_ and given.get("license", license_) != license_:
        raise ValueError(f"license: what comes from {options.start} stays {license_}")
    model.config = dataclasses.replace(model.config, **given)
    return model, dataclasses.replace(recipe, model=model.config)


def prepare(options: argparse.Namespace, processes: Processes) -> Loop:
    """The training that the command line asks for, resumed if it says so."""
    checkpoint = options.out / CHECKPOINT
    if checkpoint.exists() and not options.resume:
        raise ValueError(f"{checkpoint} is there: go on with --resume, or take another --out")
    recipe = make_recipe(options)
    quiet = not processes.first
    index = read_index(options.data, quiet)
    torch.manual_seed(recipe.seed)
    model, recipe = starting_model(options, recipe)
    if options.horizon is None:
        recipe = with_horizon(model, recipe, index, quiet)
    trainer = Trainer(model, recipe, processes, options.compile)
    if recipe.bfloat16 and not trainer.loss.in_bfloat16 and processes.first:
        print("in float32: this CPU is not faster in bfloat16")
    running = dataclasses.replace(Running(), **_given(options, Running))
    validation = None
    if options.val:
        index_val = read_index(options.val, quiet)
        validation = Validation(index_val, recipe, processes, running.val_samples)
    loop = Loop(trainer, index, validation, options.out, running)
    if resumes(options):
        loop.resume()
    return loop


def resumes(options: argparse.Namespace) -> bool:
    """Whether there is a training to go on with; else `--resume` begins one, so that the command
    of a job that is started again need not change."""
    return options.resume and (options.out / CHECKPOINT).exists()


def with_horizon(
    model: FlowPokeTransformer, recipe: Recipe, index: ShardIndex, quiet: bool
) -> Recipe:
    """The recipe, with the seconds that the clips' targets lie ahead as the model's horizon."""
    seconds = index.horizons(recipe.sampling)
    horizon = seconds[0] if len(seconds) == 1 else 0.0
    if len(seconds) > 1 and not quiet:
        print(
            f"horizon: not one, targets are {', '.join(f'{s:g}' for s in seconds)} s ahead; the "
            "weights will say that it is unknown, unless --horizon says it"
        )
    model.config = dataclasses.replace(model.config, horizon=horizon)
    return dataclasses.replace(recipe, model=model.config)


def read_index(inputs: list[Path], quiet: bool) -> ShardIndex:
    """The samples; what is none is named and passed over."""
    index = ShardIndex(read_sources(inputs), quiet)
    if not quiet:
        for text in index.broken:
            print(f"passed over the rest of a shard: {text}")
        if index.foreign:
            more = ", ..." if len(index.foreign) > 3 else ""
            named = ", ".join(index.foreign[:3])
            print(f"passed over {len(index.foreign)} files that are of no sample: {named}{more}")
    return index


def run(loop: Loop, stop: Stop) -> None:
    with stop.on_signals():
        done = loop.run(stop)
    why = stop.reason or "another process was told to"
    if loop.processes.first:
        print(
            f"trained to the end: {loop.out}"
            if done
            else f"stopped at step {loop.trainer.step} ({why}); go on with --resume"
        )


if __name__ == "__main__":
    main()
