# SPDX-License-Identifier: Apache-2.0
"""The node fpt_poke: clicks and dragged handles in RViz and rqt become pokes. See docs/rviz.md."""
