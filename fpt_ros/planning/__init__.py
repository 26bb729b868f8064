# SPDX-License-Identifier: Apache-2.0
"""Finds pokes that move points to their goals and leave others alone, by asking what if.

It needs no ROS and no model, only a function that evaluates pokes: `Predictor.evaluate` with an
image's context, or `MotionClient.evaluate`.
"""

from fpt_ros.planning.goals import Evaluate
from fpt_ros.planning.in_space import PokePlan3D, plan_poke_3d
from fpt_ros.planning.planner import plan_poke
from fpt_ros.planning.plans import PokePlan

__all__ = ["Evaluate", "PokePlan", "PokePlan3D", "plan_poke", "plan_poke_3d"]
