# SPDX-License-Identifier: Apache-2.0
"""The command fpt-web: what it says, and what it refuses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from fpt_ros.web.__main__ import announce, main


def test_says_where_the_page_is_and_who_can_reach_it(capsys: pytest.CaptureFixture[str]):
    announce("127.0.0.1", 8765)
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8765/ ")
    announce("::1", 8765)
    assert capsys.readouterr().out.startswith("http://[::1]:8765/ ")
    announce("0.0.0.0", 8765)
    assert "everyone" in capsys.readouterr().out


def test_refuses_what_it_cannot_use(tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for arguments, said in (
            ([str(tmp_path / "none")], "none is not a folder"),
            (["--port", port], f"port {port}: Address already in use"),
            (["--port", "99999"], "port 99999"),
            (["--host", "192.0.2.1", "--port", "0"], "cannot listen on 192.0.2.1"),
            (["--port", "0", "--checkpoint", "none.safetensors"], "none.safetensors"),
            (["--port", "0", "--fit", "wrong"], "fit is 'wrong'"),
        ):
            with pytest.raises(SystemExit) as ended:
                main(arguments)
            assert said in str(ended.value) and "\n" not in str(ended.value)
