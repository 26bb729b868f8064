# SPDX-License-Identifier: Apache-2.0
"""Poke pictures in the browser: starts a server on this machine and prints its address.

The page shows what would move, and how, if one pushed at some points of a picture: one that ships,
one of your own, a frame of a film or a bag, or what a running node's camera sees (--live).
"""

from __future__ import annotations

import argparse
import logging
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fpt_ros.command_line import CommandParser
from fpt_ros.web.addresses import LOOPBACK

if TYPE_CHECKING:
    from fpt_ros.web.live import LiveCamera

SWITCH_INTERVAL = 5e-4
"""Seconds. The thread that computes holds Python's lock so long at most while the one that talks to
the tabs waits for it, which it does at each message (by default: ten times as long)."""


def main(arguments: list[str] | None = None) -> None:
    """Serve as the command line says, until Ctrl-C."""
    options = parser().parse_args(arguments)
    logging.basicConfig(level=logging.WARNING)
    try:
        serve(options)
    except ModuleNotFoundError as error:
        sys.exit(
            f"fpt-web: there is no {error.name}: python3 -m pip install torch einops safetensors "
            "aiohttp av rosbags rosbags-image"
        )
    except (ValueError, OSError) as error:
        sys.exit(f"fpt-web: {error}")


def parser() -> argparse.ArgumentParser:
    parser = CommandParser(prog="fpt-web", description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="pictures, films and bags to offer")
    parser.add_argument(
        "--live",
        nargs="?",
        const="/fpt",
        metavar="NODE",
        help="show the camera of a running node, which then answers itself (default: /fpt)",
    )
    parser.add_argument("--checkpoint", default="embedded", help="embedded, hub:..., or a file")
    parser.add_argument("--allow-download", action="store_true", help="of a checkpoint hub:...")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    parser.add_argument("--fit", default="crop", help="of wide pictures: crop, pad or stretch")
    parser.add_argument("--host", default="127.0.0.1", help="another address opens it to others")
    parser.add_argument("--port", type=int, default=8765, help="0: any that is free")
    return parser


def serve(options: argparse.Namespace) -> None:
    """Load the model and serve the page.

    Raises:
        ValueError: a checkpoint, folder or option that cannot be used.
        OSError: the address cannot be listened on.
    """
    from aiohttp import web

    from fpt_ros import Predictor
    from fpt_ros.web.offers import Offers
    from fpt_ros.web.server import make_app

    offers = Offers(options.folder)
    listening = listen(options.host, options.port)
    predictor = Predictor.from_checkpoint(
        options.checkpoint,
        options.device,
        options.dtype,
        fit=options.fit,
        allow_download=options.allow_download,
    )
    predictor.warm_up()
    live = live_camera(options.live, predictor.motion_threshold) if options.live else None
    try:
        app = make_app(predictor, offers, live, options.host)
        sys.setswitchinterval(SWITCH_INTERVAL)
        announce(options.host, listening.getsockname()[1])
        web.run_app(app, sock=listening, print=None, handle_signals=True)
    finally:
        if live is not None:
            live.close()


def listen(host: str, port: int) -> socket.socket:
    """A socket on the address, before anything is printed.

    Raises:
        OSError: the address is no address of this machine, or the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        raise OSError(f"cannot listen on {host}, port {port}: {why}") from error


def announce(host: str, port: int) -> None:
    """Say where the page is, and who can reach it."""
    shown = f"[{host}]" if ":" in host else host
    print(f"http://{shown}:{port}/    (Ctrl-C ends)", flush=True)
    if host not in LOOPBACK:
        print(f"--host {host}: everyone who reaches this address may use the page", flush=True)


def live_camera(name: str, motion_threshold: float) -> LiveCamera:
    """The camera of the node of that name.

    Raises:
        ValueError: ROS is not there.
    """
    try:
        from fpt_ros.web.live import LiveCamera
    except ModuleNotFoundError as error:
        raise ValueError(f"--live needs ROS: there is no {error.name}") from error
    return LiveCamera(name, motion_threshold)


if __name__ == "__main__":
    main()
