# SPDX-License-Identifier: Apache-2.0
"""`fpt-data`: training data from videos and ROS 2 bags. `fpt-data --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from fpt_ros.command_line import CommandParser
from fpt_ros.data import DEFAULT_SKIP
from fpt_ros.data.checking import check, read_checked
from fpt_ros.data.cutting import Cut
from fpt_ros.data.inspecting import inspect_shards
from fpt_ros.data.jobs import Report
from fpt_ros.data.sharding import Limits, make_shards
from fpt_ros.data.statistics import table
from fpt_ros.data.trackers import TRACKERS, load_tracker, staying
from fpt_ros.data.tracking import track_shards
from fpt_ros.encodings import FULL_RANGE
from fpt_ros.images import Reading


def main() -> None:
    args = parser().parse_args()
    try:
        sys.exit(args.run(args))
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"fpt-data {args.command}: {error}")
    except KeyboardInterrupt:
        sys.exit(f"\nfpt-data {args.command}: interrupted; the same command continues")


def parser() -> argparse.ArgumentParser:
    top = CommandParser(prog="fpt-data", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)
    add_shard(commands)
    add_track(commands)
    add_inspect(commands)
    add_measure(commands)
    return top


def add_command(
    commands: argparse._SubParsersAction,
    name: str,
    run: Callable[[argparse.Namespace], int],
    inputs: str,
    out: str,
    help: str,
    description: str,
) -> argparse.ArgumentParser:
    """A command from files or folders, `inputs`, to the folder `out`."""
    parser = commands.add_parser(name, help=help, description=description)
    parser.add_argument("inputs", type=Path, nargs="+", help=inputs)
    parser.add_argument("--out", type=Path, required=True, help=out)
    parser.set_defaults(run=run)
    return parser


def add_shard(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "shard", run_shard, "videos, bags, folders of them", "folder of the shards",
        help="cut videos and bags into clips",
        description="Cut videos and image topics of bags into clips, in WebDataset shards. "
        "An interrupted run continues where it stopped.",
    )  # fmt: skip
    parser.add_argument("--topic", action="append", help="of bags (again for more); else all")
    parser.add_argument(
        "--sample-range", type=int, nargs=2, metavar=("LOW", "HIGH"), default=FULL_RANGE,
        help="of a bag's 16-bit samples, what becomes black and white (thermal cameras); other "
        "than the full range it says that 16UC1 is a picture, not depth",
    )  # fmt: skip
    parser.add_argument("--size", type=int, default=Cut.size, help="side of the frames [px]")
    parser.add_argument(
        "--frames",
        type=int,
        default=Cut.frames,
        help=f"in a clip; training with skip {DEFAULT_SKIP} needs at least {DEFAULT_SKIP + 1}",
    )
    parser.add_argument("--stride", type=int, default=Cut.stride, help="take every n-th frame")
    parser.add_argument("--rate", type=float, help="take so many frames a second, by their stamps")
    parser.add_argument("--max-clips", type=int, default=Limits.clips, help="in a shard")
    parser.add_argument("--max-bytes", type=int, default=Limits.bytes, help="in a file")
    add_parallel(parser)


def add_track(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "track", run_track, "shards, folders of them", "folder of the tracked shards",
        help="add point tracks to clips",
        description="Write shards with tracks.npy and visibility.npy, one for each shard. An "
        "interrupted run continues; the result depends neither on workers nor on order.",
    )  # fmt: skip
    parser.add_argument(
        "--tracker", choices=TRACKERS, default=TRACKERS[0], help="cotracker3 is downloaded"
    )
    parser.add_argument("--points", type=int, default=512, help="tracked in each clip")
    parser.add_argument("--seed", type=int, default=0, help="of the points")
    parser.add_argument("--device", default="auto", help="of cotracker3: auto, cpu, cuda, cuda:N")
    parser.add_argument(
        "--all-tracks", action="store_true",
        help="keep what is doubtful; else a point that seems to leave its place and fails a check "
        "is hidden while it is away",
    )  # fmt: skip
    add_parallel(parser)


def add_inspect(commands: argparse._SubParsersAction) -> None:
    parser = add_command(
        commands, "inspect", run_inspect, "shards, folders of them", "folder for the files",
        help="look at clips with tracks",
        description="Print statistics of shards, and write them with a video and a sheet of some "
        "clips: statistics.json, tracks.mp4, sheet.png.",
    )  # fmt: skip
    parser.add_argument("--skip", type=int, default=DEFAULT_SKIP, help="of training, frames")
    parser.add_argument("--clips", type=int, default=8, help="to draw")


def add_measure(commands: argparse._SubParsersAction) -> None:
    parser = commands.add_parser(
        "measure",
        help="compare a tracker with exact simulated tracks",
        description="Follow points in simulated clips, whose tracks are known, and print how "
        "many are followed (needs the extra sim); or in real ones.",
    )
    parser.add_argument(
        "--real", action="store_true",
        help="labels on the real clips that come with fpt_ros, beside hand-set outlines; --clips "
        "and --size do not count",
    )  # fmt: skip
    parser.add_argument("--tracker", choices=TRACKERS, default=TRACKERS[0])
    parser.add_argument("--clips", type=int, default=20)
    parser.add_argument("--size", type=int, default=256, help="side of the frames [px]")
    parser.add_argument("--device", default="auto")
    parser.set_defaults(run=run_measure)


def add_parallel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument(
        "--ray", action="store_true", help="on a Ray cluster (RAY_ADDRESS), or Ray on this machine"
    )


def run_shard(args: argparse.Namespace) -> int:
    cut = Cut(args.size, args.frames, args.stride, args.rate)
    if args.frames <= DEFAULT_SKIP:
        print(
            f"Clips of {args.frames} frames give no sample in training unless its skip, "
            f"{DEFAULT_SKIP} by default, is below {args.frames}.",
            file=sys.stderr,
        )
    low, high = args.sample_range
    if not FULL_RANGE[0] <= low < high <= FULL_RANGE[1]:
        raise ValueError(f"sample-range is {low} {high}: must be 0 to 65535, the first lower")
    report = make_shards(
        args.inputs, args.out, cut, Limits(args.max_clips, args.max_bytes),
        args.topic, args.workers, args.ray, Reading(sample_range=(low, high)),
    )  # fmt: skip
    return summary(args.out, report)


def run_track(args: argparse.Namespace) -> int:
    report = track_shards(
        args.inputs, args.out, args.tracker, args.points, args.seed, args.device,
        args.workers, args.ray, args.all_tracks,
    )  # fmt: skip
    return summary(args.out, report)


def run_inspect(args: argparse.Namespace) -> int:
    found = inspect_shards(args.inputs, args.out, args.skip, args.clips)
    print(table(found))
    return 0 if found["usable"] else 1


def run_measure(args: argparse.Namespace) -> int:
    trackers = {args.tracker: load_tracker(args.tracker, args.device), "nothing moves": staying}
    if args.real:
        clips = read_checked()
        found = check(trackers, clips)
        print(f"{len(clips)} real clips")
    else:
        from fpt_ros.data.measuring import measure  # needs MuJoCo

        found = measure(trackers, args.clips, args.size)
        print(f"{args.clips} clips of {args.size} x {args.size} pixels")
    print(f"{'':60}" + "".join(f"{name:>16}" for name in found))
    for key in found[args.tracker]:
        print(f"{key:60}" + "".join(f"{row[key]:16.1%}" for row in found.values()))
    return 0


def summary(out: Path, report: Report) -> int:
    """Say what stands in `out`; the exit status, 1 where nothing does."""
    for text in report.notes:
        print(f"note: {text}", file=sys.stderr)
    for text in report.skipped:
        print(f"skipped {text}", file=sys.stderr)
    shards = list(out.glob("shard-*.tar"))
    size = sum(shard.stat().st_size for shard in shards) / 1e6
    print(
        f"{report.clips} clips written now, {len(report.skipped)} sources or clips skipped; "
        f"{out} has {len(shards)} shards, {size:.1f} MB"
    )
    return 0 if shards else 1


if __name__ == "__main__":
    main()
