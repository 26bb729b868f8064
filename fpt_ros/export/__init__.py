# SPDX-License-Identifier: Apache-2.0
"""The model for other runtimes, as files with a description: `fpt-export`, see docs/export.md."""
