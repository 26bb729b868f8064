# SPDX-License-Identifier: Apache-2.0
"""What all commands of the library have in common."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
COMMANDS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]


@pytest.fixture(params=sorted(COMMANDS))
def command(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Runs a command with arguments, and gives its exit status."""
    module, function = COMMANDS[request.param].split(":")
    main = getattr(import_module(module), function)

    def run(*arguments: str) -> object:
        monkeypatch.setattr(sys, "argv", [request.param, *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code

    return run


def test_help_says_what_there_is(command, capsys):
    assert command("--help") == 0
    shown = capsys.readouterr().out
    assert len(shown.splitlines()) > 5
    assert "--help" in shown


def test_wrong_arguments_cost_one_line_and_status_2(command, capsys):
    assert command("--nonsense", "--out=nowhere") == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert "--help" in line


def test_arguments_of_a_part_of_a_command_too(capsys, monkeypatch):
    from fpt_ros.data.__main__ import main

    monkeypatch.setattr(sys, "argv", ["fpt-data", "shard", "here"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("fpt-data shard: ")
    assert "--out" in line
