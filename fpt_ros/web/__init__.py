# SPDX-License-Identifier: Apache-2.0
"""The demo in the browser: a page on which pictures are poked, and its server (docs/web.md)."""
