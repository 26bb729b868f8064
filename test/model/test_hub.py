# SPDX-License-Identifier: Apache-2.0
"""Sources `hub:...`: how they are read, the local cache, and what a hub that fails becomes."""

from __future__ import annotations

import http.server
import logging
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from fpt_ros.model import (
    CheckpointError,
    FlowPokeTransformer,
    ModelConfig,
    hub,
    load_checkpoint,
    save_checkpoint,
)
from fpt_ros.model.hub import HubFile, parse_hub_source
from fpt_ros.training.starting import start_from_checkpoint

TINY = ModelConfig("dinov2_vits14_reg", width=64, depth=1)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("released") / "flow_poke_open_set_base.pt"
    torch.save({"model": FlowPokeTransformer(TINY).state_dict()}, path)
    return path


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path) -> Path:
    """The hub's cache, empty."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put_into(cache: Path, file: Path, repo: str, revision: str = "main") -> None:
    """A file as huggingface_hub keeps it."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    ref = folder / "refs" / revision
    ref.parent.mkdir(parents=True)
    ref.write_text(COMMIT)
    shutil.copy(file, snapshot / file.name)


class Hub(http.server.ThreadingHTTPServer):
    """A hub that has one file, or answers with an error, or breaks off after so many bytes."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.status, self.error, self.sent = b"x" * 100_000, 200, "", 100_000
        self.asked: list[str] = []


class Answer(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.send_header("ETag", '"abc"')
        self.send_header("X-Repo-Commit", COMMIT)
        if self.server.error:
            self.send_header("X-Error-Code", self.server.error)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(self.server.content[: self.server.sent])
        self.wfile.flush()
        if self.server.sent < len(self.server.content):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch) -> Iterator[Hub]:
    with Hub() as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        path = "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + path)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("time.sleep", lambda _: None)  # between the client's retries
        yield server
        server.shutdown()


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        ("hub:a/b/m.pt", ("a/b", None, "m.pt")),
        ("hub:a/b/folder/m.pth", ("a/b", None, "folder/m.pth")),
        ("hub:a/b@v1.2/folder/m.pt", ("a/b", "v1.2", "folder/m.pt")),
        ("hub:a/b@refs/pr/1/m.safetensors", ("a/b", "refs/pr/1", "m.safetensors")),
        ("hub:a/b@refs/pr/12/folder/m.pt", ("a/b", "refs/pr/12", "folder/m.pt")),
        ("hub:a/b@refs/convert/new/m.pt", ("a/b", "refs/convert/new", "m.pt")),
        ("hub:a/b@refs%2Fpr%2F1/m.pt", ("a/b", "refs/pr/1", "m.pt")),
        ("hub:a/b@feature%2Fnew/m.pt", ("a/b", "feature/new", "m.pt")),
    ],
)
def test_revisions_are_read_as_in_the_hubs_own_addresses(source, parts):
    assert parse_hub_source(source) == HubFile(*parts)
    theirs = pytest.importorskip("huggingface_hub.utils._hf_uris")
    uri = theirs.parse_hf_uri(source.replace("hub:", "hf://"))
    assert (uri.id, uri.revision, uri.path_in_repo) == parts


@pytest.mark.parametrize(
    "source",
    ["hub:model.pt", "hub:a/b", "hub:a/b/c.ckpt", "hub:a/b@/c.pt", "hub:a/b/../c.pt"],
)
def test_a_malformed_source_is_refused(source):
    with pytest.raises(CheckpointError, match="must read hub:OWNER/NAME"):
        load_checkpoint(source)


@pytest.mark.parametrize("revision", ["main", "refs/pr/3"])
def test_the_cache_serves_any_revision_without_the_hub(released, cache, revision):
    put_into(cache, released, "CompVis/flow-poke-transformer", revision)
    at = "" if revision == "main" else f"@{revision}"
    model = load_checkpoint(f"hub:CompVis/flow-poke-transformer{at}/{released.name}", device="cpu")
    assert model.provenance.license == "CC-BY-NC-4.0"


def test_the_non_commercial_licence_is_said_once_and_stays(released, cache, caplog, tmp_path):
    hub._say_released_license.cache_clear()
    put_into(cache, released, "CompVis/flow-poke-transformer")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            model = load_checkpoint(f"hub:CompVis/flow-poke-transformer/{released.name}", "cpu")
    assert len([record for record in caplog.records if "non-commercial" in record.message]) == 1
    save_checkpoint(model, tmp_path / "mine.safetensors")
    again = load_checkpoint(tmp_path / "mine.safetensors", "cpu")
    assert again.config.license == again.provenance.license == "CC-BY-NC-4.0"
    source = f"hub:CompVis/flow-poke-transformer/{released.name}"
    assert start_from_checkpoint(source, False, image_size=56).config.license == "CC-BY-NC-4.0"
    with pytest.raises(CheckpointError, match="license is 'MIT': its repository has 'CC-BY-NC"):
        load_checkpoint(source, "cpu", license="MIT")


@pytest.mark.parametrize(
    ("source", "command"),
    [
        ("hub:some/model/folder/file.pt", r"hf download some/model folder/file\.pt$"),
        ("hub:a/b@refs/pr/1/m.pt", "hf download a/b m.pt --revision refs/pr/1$"),
    ],
)
def test_a_file_that_is_not_in_the_cache_names_the_command(source, command):
    with pytest.raises(CheckpointError, match=command):
        load_checkpoint(source)


def test_a_file_is_downloaded_at_a_revision_with_slashes(server, tmp_path):
    path = tmp_path / "m.safetensors"
    save_checkpoint(FlowPokeTransformer(TINY), path)
    server.content = path.read_bytes()
    server.sent = len(server.content)
    model = load_checkpoint("hub:a/b@refs/pr/1/m.safetensors", "cpu", allow_download=True)
    assert model.config == TINY
    assert set(server.asked) == {"/a/b/resolve/refs%2Fpr%2F1/m.safetensors"}


def test_a_connection_that_breaks_off_is_one_clear_error(server):
    server.sent = 1000
    with pytest.raises(CheckpointError, match=r"'hub:a/b/m.pt' cannot be downloaded: .*received"):
        load_checkpoint("hub:a/b/m.pt", allow_download=True)


@pytest.mark.parametrize(
    ("status", "error", "name"),
    [
        (404, "RepoNotFound", "RepositoryNotFoundError"),
        (404, "RevisionNotFound", "RevisionNotFoundError"),
        (404, "EntryNotFound", "EntryNotFoundError"),
        (403, "GatedRepo", "GatedRepoError"),
        (418, "", "HfHubHTTPError"),
    ],
)
def test_what_the_hub_refuses_is_said(server, status, error, name):
    server.status, server.error = status, error
    with pytest.raises(CheckpointError, match=rf"'hub:a/b/m.pt' .*cannot be downloaded: \w*{name}"):
        load_checkpoint("hub:a/b/m.pt", allow_download=True)


def test_no_connection_is_said(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(CheckpointError, match="cannot be downloaded: ConnectError"):
        load_checkpoint("hub:a/b/m.pt", allow_download=True)


def test_the_offline_mode_is_named(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match=r"cannot be downloaded: .*HF_HUB_OFFLINE"):
        load_checkpoint("hub:a/b/m.pt", allow_download=True)
