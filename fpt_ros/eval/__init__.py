# SPDX-License-Identifier: Apache-2.0
"""How good a checkpoint is: `fpt-eval`, on clips in the common format. See docs/evaluation.md."""
