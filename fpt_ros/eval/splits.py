# SPDX-License-Identifier: Apache-2.0
"""How the poked body moves: along with the poke, or turning, or poked near what it turns on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fpt_ros.eval.figures import case_means, mean_and_error

if TYPE_CHECKING:
    from jaxtyping import Float

    from fpt_ros.eval.cases import Cases

ALONG = 0.25
"""A body goes along with the poke where its points' flows are this near to the poke's, on average,
as a share of the poke's length."""
NEAR_AXIS = 0.5
"""A poke is near the axis where it goes less than this share of the way of what goes farthest (the
90th percentile of the body's points)."""
KINDS = ("goes along", "turns", "poked near its axis")


def kinds(cases: Cases) -> list[str | None]:
    """One of `KINDS` for each case; None where no other point of the poked body is known."""
    found: list[str | None] = []
    for case in cases.each:
        poke, flow = case.pokes[0, 2:], case.flow[case.same_body]
        length = float(np.linalg.norm(poke))
        if not len(flow):
            found.append(None)
        elif length < NEAR_AXIS * np.quantile(np.linalg.norm(flow, axis=-1), 0.9):
            found.append("poked near its axis")
        elif np.linalg.norm(flow - poke, axis=-1).mean() < ALONG * length:
            found.append("goes along")
        else:
            found.append("turns")
    return found


def split_figures(
    cases: Cases, estimates: dict[str, Float[np.ndarray, "n 2"]]
) -> dict[str, dict[str, Any]]:
    """Of each kind of motion that there is, the number of cases and each estimate's end-point error
    on the poked body and on what stays: mean of both, and its standard error."""
    of = np.array(kinds(cases), dtype=object)
    errors = {name: mean_of_both(cases, estimate) for name, estimate in estimates.items()}
    found: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        these = of == kind
        if these.any():
            judged = {name: mean_and_error(error[these]) for name, error in errors.items()}
            found[kind] = {"cases": int(these.sum()), **judged}
    return found


def mean_of_both(cases: Cases, estimate: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "c"]:
    """Of each case the end-point error on the poked body and on what stays, their mean."""
    error = np.linalg.norm(estimate - cases.flow, axis=-1)
    return (case_means(cases, error, cases.same_body) + case_means(cases, error, ~cases.moving)) / 2
