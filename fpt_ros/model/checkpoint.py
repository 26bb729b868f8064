"""Checkpoints in and out: the embedded weights, the released ones from the hub, and files.

Nothing in a checkpoint is ever executed: `.pt` files are read with `weights_only`, and every
entry is held against the network's own names and shapes before it is used.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fpt_ros.model.build import build_model
from fpt_ros.model.config import ModelConfig, Provenance
from fpt_ros.model.dinov2 import DINOV2_SIZES
from fpt_ros.model.flow_poke import FlowPokeTransformer
from fpt_ros.model.small.config import SmallModelConfig

EMBEDDED = "embedded"
RELEASED_REPOSITORY = "CompVis/flow-poke-transformer"
RELEASED_LICENSE = "CC-BY-NC-4.0"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
CONFIG_KEY = "fpt_config"  # of the safetensors metadata

_HUB = re.compile(
    r"hub:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?/(?P<file>[\w./-]+\.(pt|safetensors))"
)

logger = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that is not there, or that is not what it should be."""


def load_checkpoint(
    source: str | Path = EMBEDDED,
    device: str = "auto",
    dtype: str = "auto",
    allow_download: bool = False,
) -> FlowPokeTransformer:
    """A model with its weights, in eval mode.

    Args:
        source: `embedded` (the weights in this package), `hub:OWNER/NAME[@REVISION]/FILE` (a file
            on the Hugging Face hub) or a path; files end in `.pt` (the released layout) or
            `.safetensors` (written by `save_checkpoint`).
        device: `auto` (CUDA where there is one), or any that torch names.
        dtype: `auto` (bfloat16 on CUDA, else float32), `float32`, `bfloat16` or `float16`.
        allow_download: fetch a hub file that the local cache does not hold.

    Raises:
        CheckpointError: the file is missing, damaged, or does not fit; the message says where.
        ValueError: a device or dtype that cannot be had.
    """
    where, number = resolve_device(device), resolve_dtype(dtype, device)
    path, license_ = _locate(str(source), allow_download)
    if path.suffix == ".safetensors":
        config, state = _read_safetensors(path)
    elif path.suffix == ".pt":
        config, state = _read_released(path)
    else:
        raise CheckpointError(f"{path}: must end in .pt or .safetensors")
    model = build_model(config)  # not on "meta": that makes torch load its compiler
    _check_entries(path, state, model.state_dict())
    model.load_state_dict(state, assign=True)
    model.provenance = Provenance(str(source), _sha256(path), license_ or config.license)
    return model.to(where, number).eval()


def save_checkpoint(model: FlowPokeTransformer, path: str | Path) -> None:
    """Write the weights with their config as safetensors; an existing file is replaced whole.

    Raises:
        CheckpointError: the path does not end in `.safetensors`.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: must end in .safetensors")
    state = {name: value.contiguous().cpu() for name, value in model.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        save_file(state, unfinished, metadata={"format": "pt", CONFIG_KEY: model.config.to_json()})
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def resolve_device(device: str) -> torch.device:
    """The torch device for a name, `auto` included.

    Raises:
        ValueError: an unknown device, or CUDA where there is none.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device is {device!r}: must be auto, cpu, cuda or cuda:N") from error
    if found.type not in ("cpu", "cuda"):
        raise ValueError(f"device is {device!r}: must be auto, cpu, cuda or cuda:N")
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise ValueError(f"device is {device!r}: this PyTorch sees {count} CUDA devices")
    return found


def resolve_dtype(dtype: str, device: str = "auto") -> torch.dtype:
    """The torch type for a name, `auto` included.

    Raises:
        ValueError: an unknown type.
    """
    if dtype == "auto":
        return torch.bfloat16 if resolve_device(device).type == "cuda" else torch.float32
    if dtype not in DTYPES:
        raise ValueError(f"dtype is {dtype!r}: must be auto, {', '.join(DTYPES)}")
    return DTYPES[dtype]


def _locate(source: str, allow_download: bool) -> tuple[Path, str]:
    """The local file of a source, and the licence that its origin implies ('' if none)."""
    if source == EMBEDDED:
        path = Path(str(resources.files("fpt_ros") / "weights" / "embedded.safetensors"))
        if not path.is_file():
            raise CheckpointError(f"the embedded weights are not installed: {path} is missing")
        return path, ""
    if source.startswith("hub:"):
        return _locate_on_hub(source, allow_download)
    path = Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(
            f"checkpoint {source!r} is not a file: must be {EMBEDDED!r}, a path to a .pt or "
            ".safetensors file, or hub:OWNER/NAME[@REVISION]/FILE"
        )
    return path, ""


def _locate_on_hub(source: str, allow_download: bool) -> tuple[Path, str]:
    parts = _HUB.fullmatch(source)
    if parts is None:
        raise CheckpointError(
            f"checkpoint {source!r}: must read hub:OWNER/NAME[@REVISION]/FILE, "
            "FILE ending in .pt or .safetensors"
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise CheckpointError(
            f"checkpoint {source!r} needs the Python package huggingface_hub"
        ) from error
    repo, file, revision = parts["repo"], parts["file"], parts["revision"]
    try:
        path = hf_hub_download(repo, file, revision=revision, local_files_only=True)
    except LocalEntryNotFoundError as missing:
        if not allow_download:
            raise CheckpointError(
                f"checkpoint {source!r} is not in the local hub cache: allow the download "
                f"(allow_download), or run: hf download {repo} {file}"
                + (f" --revision {revision}" if revision else "")
            ) from missing
        try:
            path = hf_hub_download(repo, file, revision=revision)
        except (HfHubHTTPError, OSError, ValueError) as error:
            raise CheckpointError(f"checkpoint {source!r} cannot be downloaded: {error}") from error
    if repo == RELEASED_REPOSITORY:
        _say_released_license()
        return Path(path), RELEASED_LICENSE
    return Path(path), ""


@cache
def _say_released_license() -> None:
    logger.warning(
        "the weights of %s are licensed %s: for non-commercial use only",
        RELEASED_REPOSITORY,
        RELEASED_LICENSE,
    )


def _read_safetensors(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}") from error
    if CONFIG_KEY not in metadata:
        raise CheckpointError(f"{path}: its metadata have no {CONFIG_KEY!r}: not saved by fpt_ros")
    try:
        return config_from_json(metadata[CONFIG_KEY]), state
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path}: bad {CONFIG_KEY!r} in its metadata: {error}") from error


def config_from_json(text: str) -> ModelConfig:
    kind = SmallModelConfig if '"modes"' in text else ModelConfig
    return kind.from_json(text)


def _read_released(path: Path) -> tuple[ModelConfig, dict[str, Tensor]]:
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).split("\n")[0]
        raise CheckpointError(
            f"{path} holds more than tensors, or is damaged; nothing in it was run: {reason}"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, IndexError) as error:
        raise CheckpointError(f"{path} is not a whole torch file: {error}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("model"), Mapping):
        keys = sorted(map(str, content))[:8] if isinstance(content, Mapping) else type(content)
        raise CheckpointError(f"{path}: no dict whose entry 'model' is a state dict: {keys}")
    state = dict(content["model"])
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise CheckpointError(f"{path}: entry {name!r} is a {type(value).__name__}, no tensor")
    try:
        return _infer_config(state), state
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{path}: entry missing or of a wrong shape: {error}") from error


def _infer_config(state: Mapping[str, Tensor]) -> ModelConfig:
    """The config of a released state dict, which names none: sizes are read off the shapes."""
    channels = state["image_embedder.model.pos_embed"].shape[-1]
    depth = _count(state, "image_embedder.model.blocks.")
    suffix = "_reg" if "image_embedder.model.register_tokens" in state else ""
    encoders = [
        name
        for name, (size, _, blocks) in DINOV2_SIZES.items()
        if (size, blocks) == (channels, depth) and name.endswith("_reg") == bool(suffix)
    ]
    if not encoders:
        raise ValueError(
            f"image_embedder.model has {channels} channels and {depth} blocks: no DINOv2 encoder"
        )
    return ModelConfig(
        encoder=encoders[0],
        width=state["cond_emb.weight"].shape[1],
        depth=_count(state, "transformer.layers."),
        components=state["out_mlp.5.weight"].shape[0] // 6,
    )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({name[len(prefix) :].split(".")[0] for name in state if name.startswith(prefix)})


def _check_entries(path: Path, state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Every entry of the network, of its shape, floating and finite; and no other."""
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing:
        raise CheckpointError(f"{path}: {len(missing)} entries are missing: {_first(missing)}")
    if unknown:
        raise CheckpointError(f"{path}: {len(unknown)} entries are unknown: {_first(unknown)}")
    for name, value in state.items():
        shape = tuple(wanted[name].shape)
        if tuple(value.shape) != shape:
            raise CheckpointError(
                f"{path}: entry {name!r} has shape {tuple(value.shape)}: must be {shape}"
            )
        if not value.is_floating_point():
            raise CheckpointError(f"{path}: entry {name!r} is {value.dtype}: must be floating")
        if not bool(value.isfinite().all()):
            raise CheckpointError(f"{path}: entry {name!r} holds values that are not finite")


def _first(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", …" if len(names) > 3 else "")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
