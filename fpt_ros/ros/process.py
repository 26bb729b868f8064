# SPDX-License-Identifier: Apache-2.0
"""The process of the node fpt: it runs until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.signals import SignalHandlerOptions

from fpt_ros.ros.executor import TwoThreadExecutor
from fpt_ros.ros.lifecycle import destroy_state_machine
from fpt_ros.ros.node import FptNode

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE = 5.0  # seconds for what runs to end, such as the loading of a model or a prediction


def main(args: list[str] | None = None) -> None:
    """Run the node. A signal ends it in order, or after PATIENCE wherever it is."""
    ended, signals = threading.Event(), []

    def on_signal(number: int, _: object) -> None:
        signals.append(number)
        ended.set()

    for number in SIGNALS:
        signal.signal(number, on_signal)
    # Read when torch is loaded. By default its threads spin long while they wait for each other,
    # which on a robot whose cores are busy multiplies the time of a prediction.
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = FptNode()
    except (ValueError, ParameterException) as error:
        rclpy.logging.get_logger("fpt").fatal(f"cannot start: {error}")
        rclpy.try_shutdown()
        sys.exit(1)
    executor = TwoThreadExecutor(node.requests_group, node.report_fault)
    executor.add_node(node)
    executor.create_task(node.start)

    def spin() -> None:
        try:
            while not ended.is_set():
                executor.spin_once()
        finally:
            ended.set()

    # In a thread of its own, as only the main thread hears signals, and only while it waits.
    thread = threading.Thread(target=spin, name="fpt_executor", daemon=True)
    thread.start()
    ended.wait()
    for number in SIGNALS:  # they come twice where launch and the terminal send them
        signal.signal(number, signal.SIG_IGN)
    executor.wake()
    thread.join(PATIENCE)
    if thread.is_alive() or not node.close(PATIENCE):
        os._exit(0)  # in the midst of a computation that cannot be interrupted
    executor.shutdown()
    node.destroy_node()
    destroy_state_machine(node)
    rclpy.try_shutdown()
    sys.exit(0 if signals else 1)  # 1: the executor failed, its traceback is printed
