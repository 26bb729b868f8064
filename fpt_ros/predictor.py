# SPDX-License-Identifier: Apache-2.0
"""`Predictor` under the name that it had first; new code: `from fpt_ros import Predictor`."""

from fpt_ros.inference.predictor import Predictor

__all__ = ["Predictor"]
