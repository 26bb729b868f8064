# SPDX-License-Identifier: Apache-2.0
"""How good a checkpoint is: on clips with tracks, on public benchmarks, and on photographs.

Whatever has to be chosen is chosen on other clips, see --choose-on; the motion threshold comes with
the checkpoint. Everything is measured a second time with the pictures exchanged between scenes: a
model that does not look at the picture would lose nothing.

fpt-eval --joints judges something else, joints found from depth: see fpt-eval --joints --help.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from fpt_ros.command_line import CommandParser
from fpt_ros.data.shards import find_shards
from fpt_ros.eval.benchmarks.command import BENCHMARKS, run_benchmark
from fpt_ros.eval.cases import NOISE
from fpt_ros.eval.choices import Choices, choose
from fpt_ros.eval.contact_sheet import write_contact_sheet
from fpt_ros.eval.evaluation import Evaluation, evaluate
from fpt_ros.eval.photographs import run_photographs
from fpt_ros.eval.plots import write_plots
from fpt_ros.eval.predictions import predict
from fpt_ros.eval.reading import find_sets, read_cases
from fpt_ros.eval.tables import tables
from fpt_ros.inference.packing import for_inference
from fpt_ros.model import FlowPokeTransformer, load_checkpoint


def main(arguments: list[str] | None = None) -> None:
    """Evaluate as the command line says."""
    if "--joints" in (sys.argv[1:] if arguments is None else arguments):
        from fpt_ros.eval import joints  # needs the simulation

        return joints.main(sys.argv[1:] if arguments is None else arguments)
    commands = parser()
    options = commands.parse_args(arguments)
    if options.photographs and (options.inputs or options.benchmark):
        commands.error("--photographs are in the package: it takes no inputs and no --benchmark")
    if options.benchmark and len(options.inputs) != 1:
        commands.error("--benchmark takes one file or folder")
    clips = not (options.photographs or options.benchmark)
    if clips and not (options.inputs and options.choose_on):
        commands.error("inputs and --choose-on are required")
    try:
        if clips:
            run(options)
        else:
            run_other(options)
    except (ValueError, OSError) as error:
        sys.exit(f"fpt-eval: {error}")


def parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="fpt-eval", description=__doc__)
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="*",
        help="shards, folders of them, folders of such folders; or a benchmark's file or folder",
    )
    parser.add_argument(
        "--benchmark", choices=list(BENCHMARKS), help="what the input is, instead of clips"
    )
    parser.add_argument(
        "--photographs", action="store_true", help="the package's photographs, instead of clips"
    )
    parser.add_argument(
        "--choose-on",
        type=Path,
        nargs="+",
        help="required with clips: shards or folders for what has to be chosen; not judged",
    )
    parser.add_argument("--checkpoint", default="embedded", help="embedded, hub:..., or a file")
    parser.add_argument("--allow-download", action="store_true", help="of a checkpoint hub:...")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and plots")
    parser.add_argument("--cases", type=int, default=300, help="of each set at most")
    parser.add_argument(
        "--skip",
        type=int,
        help="frames from a picture to its target; else 25, or 1 where clips are shorter",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the cases")
    parser.add_argument(
        "--noise",
        type=float,
        default=NOISE,
        help="standard deviation in image sides that likelihood and coverage add to the truth, as "
        f"training does ({NOISE:g})",
    )
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    return parser


def load(options: argparse.Namespace) -> FlowPokeTransformer:
    return for_inference(
        load_checkpoint(
            options.checkpoint, options.device, "float32", allow_download=options.allow_download
        )
    )


def run_other(options: argparse.Namespace) -> None:
    """Evaluate on a benchmark or the photographs; print the table and write it to `--out`."""
    if options.cases < 1:
        raise ValueError(f"--cases is {options.cases}: must be at least 1")
    if options.photographs:
        print(run_photographs(load(options), options.out))
        return
    arguments = options.inputs[0], options.cases, options.seed, options.out
    print(run_benchmark(options.benchmark, load(options), *arguments))


def run(options: argparse.Namespace) -> None:
    """Evaluate on clips, print the tables and write everything to `--out`."""
    for name, least in (("cases", 1), ("skip", 1), ("noise", 0)):
        value = getattr(options, name)
        if value is not None and not value >= least:
            raise ValueError(f"--{name} is {value}: must be at least {least}")
    known = find_shards([path.resolve() for path in options.choose_on])
    sets = {
        name: shards
        for name, shards in find_sets(options.inputs).items()
        if not set(shards) & set(known)
    }
    if not sets:
        raise ValueError("--choose-on holds all that should be judged: judge other clips")
    model = load(options)
    settings = (options.skip, options.cases, options.seed, options.noise)
    cases, _ = read_cases("choose-on", known, *settings)
    choices = choose(cases, predict(model, cases, title="choosing")[1])
    found, left_out = {}, []
    for name, shards in tqdm(sets.items(), unit=" sets"):
        try:
            cases_and_skip = read_cases(name, shards, *settings)
        except ValueError as error:
            left_out.append(str(error))
            continue
        found[name] = evaluate(name, model, *cases_and_skip, choices)
        write_figures(options, model, choices, found)  # if the next set fails, what there is stays
    if not found:
        raise ValueError("; ".join(left_out))
    for text in left_out:
        print(f"left out: {text}", file=sys.stderr)
    write_plots(found, options.out)
    asked = {name: one.cases for name, one in found.items()}
    write_contact_sheet(model, asked, options.out / "contact_sheet.png")
    print(tables({name: one.figures for name, one in found.items()}))


def write_figures(
    options: argparse.Namespace,
    model: FlowPokeTransformer,
    choices: Choices,
    found: dict[str, Evaluation],
) -> None:
    """`figures.json` and `tables.md`."""
    figures = {name: one.figures for name, one in found.items()}
    record = {
        "checkpoint": dataclasses.asdict(model.provenance) if model.provenance else None,
        "config": dataclasses.asdict(model.config),
        "settings": {name: str(value) for name, value in vars(options).items()},
        "choices": dataclasses.asdict(choices),
        "sets": figures,
    }
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "figures.json").write_text(json.dumps(plain(record), indent=1) + "\n")
    (options.out / "tables.md").write_text(tables(figures) + "\n")


def plain(value: Any) -> Any:
    """For JSON: arrays as lists, and null for what there is no number for."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


if __name__ == "__main__":
    main()
