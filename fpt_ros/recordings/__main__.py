# SPDX-License-Identifier: Apache-2.0
"""`fpt-bag`: the model over ROS 2 bags, without ROS. See docs/bags.md."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from fpt_ros.command_line import CommandParser
from fpt_ros.encodings import FULL_RANGE
from fpt_ros.images import Reading


def main() -> None:
    top = parser()
    args = top.parse_args()
    if args.command is None:
        top.error("a command is missing: run or score")
    try:
        sys.exit(args.run(args))
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"fpt-bag {args.command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\nfpt-bag {args.command}: interrupted; the same command continues")


def parser() -> argparse.ArgumentParser:
    top = CommandParser(prog="fpt-bag", description="The model over ROS 2 bags, without ROS.")
    commands = top.add_subparsers(dest="command")
    add_run(commands)
    add_score(commands)
    return top


def add_run(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "run",
        help="predict on a bag's images, to a new bag",
        description="Predict on the images of a bag (mcap or sqlite3, raw or compressed) and write "
        "motion, flow, overlay/compressed and annotations with the images' stamps to a new bag, "
        "which Foxglove, Lichtblick, Rerun, PlotJuggler and ros2 bag open. An interrupted run "
        "continues where it stopped. The exit status is 1 where the bag is damaged; what it has is "
        "then in the new bag.",
    )
    parser.add_argument("bag", type=Path, help="its folder, or one of its files")
    parser.add_argument("out", type=Path, help="the new bag's folder")
    parser.add_argument(
        "--pokes",
        type=Path,
        required=True,
        help="pokes.yaml: which pokes hold when, see docs/bags.md",
    )
    parser.add_argument("--topic", action="append", help="of images (again for more); else all")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="each N-th image only")
    parser.add_argument("--with-images", action="store_true", help="copy the images, too")
    add_asking(parser)
    parser.add_argument("--workers", type=int, help="processes; else as many as there are cores")
    parser.set_defaults(run=run)


def add_asking(parser: argparse.ArgumentParser) -> None:
    """How the model is asked."""
    parser.add_argument("--camera-moving", action="store_true", help="the camera may move as well")
    parser.add_argument(
        "--grid", type=int, nargs=2, default=(32, 24), metavar=("COLUMNS", "ROWS"), help="of points"
    )
    parser.add_argument("--fit", choices=("crop", "pad", "stretch"), default="crop",
        help="how an image becomes the model's square, as the node's parameter")  # fmt: skip
    parser.add_argument(
        "--sample-range", type=int, nargs=2, metavar=("LOW", "HIGH"), default=FULL_RANGE,
        help="of 16-bit samples, what becomes black and white (thermal cameras)",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", type=Path, help="calibration.json that fpt-bag score wrote: true spreads"
    )
    add_model(parser)


def add_score(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "score",
        help="how good weights are on a bag, without labels",
        description="Find stretches of a bag in which something truly moves, poke with one tracked "
        "point, ask about the others, and write how good the answers are beside baselines: "
        "report.html, report.json, and calibration.json for the node's calibration_file.",
    )
    parser.add_argument("bag", type=Path, help="its folder, or one of its files")
    parser.add_argument("--out", type=Path, required=True, help="folder of the report")
    parser.add_argument("--topic", action="append", help="of images (again for more); else all")
    parser.add_argument(
        "--horizon", type=float, metavar="S",
        help="seconds from a picture to the motion asked for; else the checkpoint's, or 1",
    )  # fmt: skip
    parser.add_argument(
        "--stretches", type=int, default=400, help="at most looked at, spread over the bag (400)"
    )
    add_model(parser, several=True)
    parser.set_defaults(run=score)


def add_model(parser: argparse.ArgumentParser, several: bool = False) -> None:
    what = "embedded, hub:..., or a file"
    if several:
        parser.add_argument("--checkpoint", action="append", help=f"{what}; again to compare")
    else:
        parser.add_argument("--checkpoint", default="embedded", help=what)
    parser.add_argument("--allow-download", action="store_true", help="of a checkpoint hub:...")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")


def run(args: argparse.Namespace) -> int:
    from fpt_ros.inference.calibration import read_calibration
    from fpt_ros.inference.predictor import Predictor
    from fpt_ros.recordings.pokes_file import read_pokes_file
    from fpt_ros.recordings.predicting import Asking
    from fpt_ros.recordings.running import Run, run_bag

    for name in ("every", "workers"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise ValueError(f"--{name} is {value}: must be at least 1")
    if not all(1 <= side <= 1024 for side in args.grid):
        raise ValueError(f"--grid is {args.grid[0]} {args.grid[1]}: must be 1 to 1024 each")
    low, high = args.sample_range
    if not FULL_RANGE[0] <= low < high <= FULL_RANGE[1]:
        raise ValueError(f"--sample-range is {low} {high}: must be 0 to 65535, the first lower")
    pokes = read_pokes_file(args.pokes)
    info = Predictor.from_checkpoint(
        args.checkpoint, args.device, allow_download=args.allow_download
    ).info
    spread = read_calibration(args.calibration, info.sha256).spread if args.calibration else 1.0
    asking = Asking(
        args.checkpoint, args.allow_download, args.device, args.fit, tuple(args.grid),
        args.camera_moving, Reading(sample_range=(low, high)), spread,
    )  # fmt: skip
    cores = 1 if info.device.startswith("cuda") else len(os.sched_getaffinity(0))
    wanted = Run(pokes, asking, info.sha256, args.topic, args.every, args.with_images)
    report = run_bag(args.bag, args.out, wanted, args.workers or cores)
    for note in [*report.notes, *report.lost, *report.unreadable[:3]]:
        print(f"note: {note}", file=sys.stderr)
    if report.unreadable:
        print(f"{len(report.unreadable)} images could not be read", file=sys.stderr)
    print(f"{args.out}: {report.images} images, {report.before} of them from a run before")
    for line in report.damage:
        print(f"fpt-bag run: {line}; all before that is in {args.out}", file=sys.stderr)
    return 1 if report.damage else 0


def score(args: argparse.Namespace) -> int:
    try:
        from fpt_ros.recordings.scoring import Question, score_bag
    except ModuleNotFoundError as error:
        raise ValueError(f"there is no {error.name}: pip install 'fpt_ros[bag,train]'") from error

    if args.horizon is not None and not 0 < args.horizon <= 60:
        raise ValueError(f"--horizon is {args.horizon:g}: must be above 0, at most 60")
    if args.stretches < 4:
        raise ValueError(f"--stretches is {args.stretches}: must be at least 4")
    question = Question(
        args.checkpoint or ["embedded"], args.topic, args.horizon, args.stretches, args.device,
        args.allow_download, Reading(),
    )  # fmt: skip
    record = score_bag(args.bag, args.out, question)
    for note in record["notes"]:
        print(f"note: {note}", file=sys.stderr)
    print(f"{args.out / 'report.html'}")
    for sentence in record["sentence"].values():
        print(sentence)
    return 0


if __name__ == "__main__":
    main()
