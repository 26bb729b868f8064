# SPDX-License-Identifier: Apache-2.0
"""By which names the page may be asked for, and from which pages."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def refusal(host_header: str, origin: str | None, host: str) -> str:
    """Why a request is refused; empty if it is not.

    A page on the internet may send requests to this address, and may give it a name of its own
    (DNS rebinding): then the request's Origin or Host is not this server's.

    Args:
        host: the address that the server listens on.
    """
    name = urlsplit(f"//{host_header}").hostname or ""
    if not _is_ours(name, host):
        return f"the host {name!r} is not this server"
    if origin is not None and urlsplit(origin).netloc != host_header:
        return f"a page of {origin!r} may not use this server"
    return ""


def _is_ours(name: str, host: str) -> bool:
    if name in LOOPBACK or name == host:
        return True
    if host in LOOPBACK:
        return False
    if name == socket.gethostname().lower():
        return True
    try:
        ipaddress.ip_address(name)  # an address cannot be rebound
    except ValueError:
        return False
    return True
