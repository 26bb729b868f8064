# SPDX-License-Identifier: Apache-2.0
"""Readers of public benchmarks, and their figures: `fpt-eval --benchmark NAME PATH`."""
