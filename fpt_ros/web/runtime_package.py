# SPDX-License-Identifier: Apache-2.0
"""ONNX Runtime for the page without a server: from its npm package, as published."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "onnxruntime-web@1.30.0"
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Of the package, base64: its `integrity` in the registry."""
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What runs on the CPU, in WebAssembly."""
LICENSE = f"""{PACKAGE} of https://www.npmjs.com/package/onnxruntime-web, unchanged.
Copyright (c) Microsoft Corporation. MIT licence:
https://github.com/microsoft/onnxruntime/blob/main/LICENSE
"""


def copy_runtime(folder: Path) -> None:
    """Put the runtime's files into a folder, which is made.

    Raises:
        RuntimeError: there is no npm, it cannot fetch the package, or what it fetched is another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        package = _fetched(Path(temporary))
        with tarfile.open(package) as archive:
            for name in FILES:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None  # the hash says that it is a file
                (folder / name).write_bytes(member.read())
    (folder / "LICENSE.txt").write_text(LICENSE)


def _fetched(folder: Path) -> Path:
    """The package as npm's cache or its registry has it."""
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(f"there is no npm, which fetches {PACKAGE}: sudo apt install npm")
    command = [npm, "pack", PACKAGE, "--prefer-offline", "--pack-destination", str(folder)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    packages = list(folder.glob("*.tgz"))
    if done.returncode or not packages:
        raise RuntimeError(f"npm cannot fetch {PACKAGE}: {_last_line(done.stderr)}")
    found = base64.b64encode(hashlib.sha512(packages[0].read_bytes()).digest()).decode()
    if found != SHA512:
        raise RuntimeError(f"{PACKAGE} has the sha512 {found}: must be {SHA512}")
    return packages[0]


def _last_line(text: str) -> str:
    """Of npm's errors, the last that says something."""
    lines = [line for line in text.splitlines() if line.strip() and "complete log" not in line]
    return lines[-1] if lines else "it says nothing"
