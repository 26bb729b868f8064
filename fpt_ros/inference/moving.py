# SPDX-License-Identifier: Apache-2.0
"""When a point counts as moving, in training, evaluation and segmentation alike."""

MOVING = 0.005
"""A point moves where it is displaced by more than this, in image sides."""
