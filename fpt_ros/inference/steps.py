# SPDX-License-Identifier: Apache-2.0
"""Long computations in steps, so that a caller may do other things between them, or stop.

They are generators: a step is about one call of the model, and the result is what they return.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

Result = TypeVar("Result")
Steps = Generator[Any, None, Result]


def finish(steps: Steps[Result]) -> Result:
    """All steps at once: the result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
