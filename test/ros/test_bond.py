# SPDX-License-Identifier: Apache-2.0
"""The bond with Nav2's lifecycle manager, whose part is taken by a bond in this process."""

from __future__ import annotations

import signal
import sys
import time

import pytest
from rclpy.duration import Duration

from fpt_ros.ros.bond import break_bond, form_bond


def test_without_bondpy_there_is_no_bond(monkeypatch):
    monkeypatch.setitem(sys.modules, "bondpy", None)  # makes its import fail
    assert form_bond(node=None) is None


@pytest.fixture
def meet():
    """Starts the manager's bond, which joins in as Nav2's manager does after an activation."""
    pytest.importorskip("bondpy")
    from bondpy.bondpy import Bond

    def start(planner):
        bond = Bond(planner.node, "bond", "fpt")
        bond.heartbeat_period, bond.heartbeat_timeout = 0.25, 2.0
        bond.start()
        planner.wait_for(lambda: state(bond) == "SM.Alive", what="the bond")
        return bond

    return start


def leave(planner, bond):
    """In the executor's thread, for bondpy destroys what it would wait for."""
    task = planner._executor.create_task(break_bond, planner.node, bond)
    planner.wait_for(task.done)


def state(bond):
    return bond.sm.getState().getName()


def test_the_bond_lasts_while_the_node_is_active(meet, start_node):
    node, planner = start_node()
    assert planner.change_state("configure")
    for _ in range(3):
        assert planner.change_state("activate")
        bond = meet(planner)
        assert not bond.wait_until_broken(Duration(seconds=3.0))
        assert planner.change_state("deactivate")
        planner.wait_for(bond.is_broken, 1.0, "the end of the bond, before its time-out")
        leave(planner, bond)
    assert planner.node.count_publishers("bond") == 0
    assert "Traceback" not in node.log


def test_a_manager_that_goes_leaves_the_node_active(meet, start_node):
    node, planner = start_node(autostart=True)
    leave(planner, meet(planner))
    planner.kept_image()
    assert planner.state() == "active"
    assert "bond" not in node.log


def test_a_node_that_is_killed_is_noticed(meet, start_node):
    node, planner = start_node(autostart=True)
    bond = meet(planner)
    time.sleep(0.6)  # bondpy's time-out begins with the second heartbeat
    node.process.send_signal(signal.SIGKILL)
    planner.wait_for(bond.is_broken, 4.0, "the bond's time-out")
    leave(planner, bond)
