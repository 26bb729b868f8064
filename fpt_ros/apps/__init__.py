# SPDX-License-Identifier: Apache-2.0
"""Programs around the node: the demo, and recordings in and out."""
