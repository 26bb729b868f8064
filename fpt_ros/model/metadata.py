# SPDX-License-Identifier: Apache-2.0
"""The config as it stands in the metadata of a `.safetensors` checkpoint.

Format 2 holds all that defines the network: the kind of model, and every field of its config.
Format 1, which does not say its number, is read as well.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from fpt_ros.model.config import SMALL_ENCODER, ModelConfig
from fpt_ros.model.small.config import SmallModelConfig, with_encoder_settings

FORMAT = 2
FORMAT_KEY = "fpt_format"
KIND_KEY = "fpt_model"
CONFIG_KEY = "fpt_config"
_CONSTANTS_OF_FORMAT_1 = {
    "mode_width": 192,
    "reach": 0.2,
    "feature_channels": 128,
    "pair_channels": 48,
    "encoder_heads": 4,
    "pooling": 2,
    "encoder_norm_eps": 1e-5,
}
"""Settings of the small model that were constants of the code, and that its files do not hold."""
KINDS: dict[str, type[ModelConfig]] = {"published": ModelConfig, "small": SmallModelConfig}


def config_to_metadata(config: ModelConfig) -> dict[str, str]:
    """The metadata to save with the weights."""
    kind = next(name for name, kind in KINDS.items() if type(config) is kind)
    if config.encoder == SMALL_ENCODER:
        config = with_encoder_settings(config)
    return {
        "format": "pt",  # which other libraries look for
        FORMAT_KEY: str(FORMAT),
        KIND_KEY: kind,
        CONFIG_KEY: config.to_json(),
    }


def config_from_metadata(metadata: Mapping[str, str]) -> ModelConfig:
    """The inverse of `config_to_metadata`; it reads format 1, too.

    Raises:
        ValueError: no config, a newer format, or a field that is missing, unknown or out of range.
    """
    if CONFIG_KEY not in metadata:
        raise ValueError(f"no {CONFIG_KEY!r}: not saved by fpt_ros")
    number = metadata.get(FORMAT_KEY, "1")
    if number not in map(str, range(1, FORMAT + 1)):
        raise ValueError(
            f"{FORMAT_KEY} is {number}: this version of fpt_ros reads formats up to {FORMAT}; take "
            "a newer one"
        )
    values: Any = json.loads(metadata[CONFIG_KEY])
    if not isinstance(values, dict):
        raise ValueError(f"{CONFIG_KEY} is {metadata[CONFIG_KEY][:80]!r}: must be a JSON object")
    if number == "1":
        return _config(*_from_format_1(values))
    if metadata.get(KIND_KEY) not in KINDS:
        raise ValueError(
            f"{KIND_KEY} is {metadata.get(KIND_KEY)!r}: must be one of {', '.join(KINDS)}"
        )
    return _config(KINDS[metadata[KIND_KEY]], values)


def _from_format_1(values: dict[str, Any]) -> tuple[type[ModelConfig], dict[str, Any]]:
    """One class served all models; what a file of then lacks had the published model's value."""
    values = dataclasses.asdict(ModelConfig()) | {"modes": 0} | values
    if values["modes"]:
        return SmallModelConfig, _CONSTANTS_OF_FORMAT_1 | values
    if values["encoder"] == SMALL_ENCODER:
        return ModelConfig, _CONSTANTS_OF_FORMAT_1 | values
    del values["modes"]
    return ModelConfig, values


def _config(kind: type[ModelConfig], values: dict[str, Any]) -> ModelConfig:
    """Of this kind; but a plain transformer whose small encoder is not as `SmallModelConfig` has it
    by default becomes a small model without modes."""
    if kind is ModelConfig and values.get("encoder") != SMALL_ENCODER:
        return _whole(ModelConfig, values)
    config = _whole(SmallModelConfig, values)
    if kind is SmallModelConfig:
        return config
    shared = {field.name: values[field.name] for field in dataclasses.fields(ModelConfig)}
    plain = ModelConfig(**shared)
    return plain if with_encoder_settings(plain) == config else config


def _whole(kind: type[ModelConfig], values: dict[str, Any]) -> ModelConfig:
    """The config of that class, with no field left to its default."""
    missing = sorted({field.name for field in dataclasses.fields(kind)} - values.keys())
    if missing:
        raise ValueError(f"{CONFIG_KEY} lacks the fields {missing}")
    return kind.from_fields(values)
