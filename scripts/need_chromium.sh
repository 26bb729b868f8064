#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests of the demo in the browser drive Chromium, which no Python package brings.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && apt-get install -q -y --no-install-recommends chromium
else
    echo "The tests of the demo in the browser drive Chromium: sudo apt install chromium" >&2
    exit 1
fi
