# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: declared from `fpt_ros.engine.settings`, read as one set of values.

`python3 -m fpt_ros.ros.parameters` prints them as the table of the README.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from fpt_ros.engine.settings import FIELDS, RECONFIGURE, RESTART, Settings, problem

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rclpy.node import Node
    from rclpy.parameter import Parameter


def declare(node: Node) -> Settings:
    """Declare every parameter on `node` and return the values it started with.

    Raises ValueError (or rclpy's InvalidParameterValueException) for a start value that is not
    allowed.
    """
    for field in FIELDS.values():
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        node.declare_parameter(field.name, default, _descriptor(field))
    settings = read(node)
    reason = problem(settings)
    if reason:
        raise ValueError(reason)
    return settings


def read(node: Node, changes: Mapping[str, Any] | None = None) -> Settings:
    """The node's present values, with `changes` (name to value) put over them."""
    values = {name: node.get_parameter(name).value for name in FIELDS}
    values |= {name: value for name, value in (changes or {}).items() if name in FIELDS}
    values |= {name: tuple(values[name]) for name in ("sample_range", "grid")}
    return Settings(**values)


def has_value(node: Node, parameter: Parameter) -> bool:
    """Whether it has that value already."""
    if not node.has_parameter(parameter.name):
        return False
    present = node.get_parameter(parameter.name)
    return (present.type_, present.value) == (parameter.type_, parameter.value)


def refusal(settings: Settings, changed: Sequence[str], state: str) -> str:
    """Why these changes cannot take effect in this lifecycle state; empty if they can."""
    for name in changed:
        field = FIELDS.get(name)
        when = "" if field is None else field.metadata["when"]
        if when == RESTART:
            return f"{name} is read when the node starts: set it on the command line or in a file"
        if when == RECONFIGURE and state != "unconfigured":
            return (
                f"{name} takes effect when the node is configured and the node is {state}: "
                "deactivate and clean it up, set it, configure it again"
            )
    return problem(settings)


def _descriptor(field: dataclasses.Field[Any]) -> Any:
    from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

    descriptor = ParameterDescriptor(
        description=f"{field.metadata['description']} ({field.metadata['when']})",
        additional_constraints=_allowed(field),
    )
    low, high = field.metadata["minimum"], field.metadata["maximum"]
    if low is not None and isinstance(field.default, int):
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high)]
    elif low is not None and isinstance(field.default, float):
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor


def _allowed(field: dataclasses.Field[Any]) -> str:
    if field.metadata["choices"]:
        return ", ".join(field.metadata["choices"])
    if field.metadata["minimum"] is not None:
        return f"{field.metadata['minimum']:.0f} to {field.metadata['maximum']:.0f}"
    return ""


def markdown_table() -> str:
    """The README's table of parameters."""
    lines = ["| parameter | default | allowed | takes effect | meaning |", "| --- " * 5 + "|"]
    for name, field in FIELDS.items():
        cells = (
            f"`{name}`",
            f"`{yaml_value(field.default)}`",
            _allowed(field) or ("true, false" if isinstance(field.default, bool) else "see right"),
            field.metadata["when"],
            field.metadata["description"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def yaml_value(value: Any) -> str:
    """A default as it is written in a parameters file."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(list(value)) if isinstance(value, tuple) else str(value) or '""'


if __name__ == "__main__":
    print(markdown_table())
