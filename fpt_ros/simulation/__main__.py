# SPDX-License-Identifier: Apache-2.0
"""Write simulated clips: `fpt-sim --help`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from fpt_ros.command_line import CommandParser
from fpt_ros.simulation.making import make_split
from fpt_ros.simulation.splits import SPLITS


def main() -> None:
    args = parser().parse_args()
    try:
        for split in SPLITS if args.split == "all" else [args.split]:
            clips = args.clips if args.clips is not None else 6000 if split == "train" else 100
            report = make_split(
                args.out, split, clips, args.seed, args.size, args.frames, args.workers, args.ray
            )
            print(f"{split}: {report.clips} clips written now, {clips} in {args.out / split}")
    except (ValueError, OSError, RuntimeError) as error:
        sys.exit(f"fpt-sim: {error}")
    except KeyboardInterrupt:
        sys.exit("\nfpt-sim: interrupted; the same command continues")


def parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="fpt-sim",
        description="Write clips of simulated scenes with exact tracks, in WebDataset shards. An "
        "interrupted run continues; the data do not depend on the number of processes.",
    )
    parser.add_argument("--out", type=Path, default=Path("data/sim"), help="folder for the splits")
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="all")
    parser.add_argument("--clips", type=int, help="in a split; 6000 in train, else 100")
    parser.add_argument("--size", type=int, default=224, help="side of the frames [px]")
    parser.add_argument("--frames", type=int, default=6, help="in a clip")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument(
        "--ray", action="store_true", help="on a Ray cluster (RAY_ADDRESS), or Ray on this machine"
    )
    return parser


if __name__ == "__main__":
    main()
