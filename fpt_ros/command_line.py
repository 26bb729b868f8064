# SPDX-License-Identifier: Apache-2.0
"""How the commands refuse what they are given: status 2 and one line for wrong arguments."""

from __future__ import annotations

import argparse
from typing import NoReturn


class CommandParser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage, which may fill a screen."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; {self.prog} --help shows what there is\n")
