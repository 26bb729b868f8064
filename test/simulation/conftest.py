# SPDX-License-Identifier: Apache-2.0
import fpt_ros.simulation  # noqa: F401  chooses off-screen OpenGL before MuJoCo is imported
