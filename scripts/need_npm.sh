#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The page without a server holds onnxruntime-web, which comes as an npm package.
set -euo pipefail
if command -v npm >/dev/null; then exit; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q && apt-get install -q -y --no-install-recommends npm
else
    echo "The page without a server holds a package of npm's: sudo apt install npm" >&2
    exit 1
fi
