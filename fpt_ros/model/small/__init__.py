# SPDX-License-Identifier: Apache-2.0
"""Our small model, beside the published one: its encoder, and a guess that its queries are told."""
