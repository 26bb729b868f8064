"""Write the simulated data set: `python -m fpt_ros.simulation --help`."""

from __future__ import annotations

import argparse
from pathlib import Path

from fpt_ros.simulation.shards import make_split
from fpt_ros.simulation.splits import SPLITS


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="fpt-sim",
        description="Write the simulated data set. An interrupted run continues; "
        "the data do not depend on the number of workers.",
    )
    parser.add_argument("--out", type=Path, default=Path("data/sim"), help="folder for the splits")
    parser.add_argument("--split", choices=[*SPLITS, "all"], default="all")
    parser.add_argument("--pictures", type=int, help="in a split; 12000 in train, else 100")
    parser.add_argument("--size", type=int, default=160, help="side of the pictures in pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    args = parser.parse_args()
    for split in SPLITS if args.split == "all" else [args.split]:
        pictures = args.pictures or (12000 if split == "train" else 100)
        make_split(args.out, split, pictures, args.seed, args.size, args.workers)


if __name__ == "__main__":
    main()
