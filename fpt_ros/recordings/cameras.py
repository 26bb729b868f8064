# SPDX-License-Identifier: Apache-2.0
"""The image topics of a bag that pictures are taken from, and what is published for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fpt_ros.data.bags import COMPRESSED, OWN, RAW
from fpt_ros.encodings import ImageError, NoPictureError
from fpt_ros.images import (
    Reading,
    check_compressed,
    check_image,
    compressed_to_rgb,
    image_to_rgb,
)
from fpt_ros.recordings.message_types import message_types

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import UInt8

    from fpt_ros.recordings.reading import Bag, Message


def choose_topics(
    bag: Bag, wanted: list[str] | None, reading: Reading
) -> tuple[list[str], list[str]]:
    """The topics whose images are pictures, in order, and a line about each that is left out.

    Raises:
        ValueError: a topic that is wanted is not there, or none is left.
    """
    images = sorted({topic for topic, kind in bag.counts if kind in (RAW, COMPRESSED)})
    there = ", ".join(images) or "none"
    missing = sorted(set(wanted or []) - set(images))
    if missing:
        raise ValueError(f"{bag.path}: no image topic {', '.join(missing)}: it has {there}")
    chosen, notes = [], []
    for topic in images if wanted is None else sorted(set(wanted)):
        why = "" if wanted else _not_by_default(topic, images)
        why = why or _no_picture(bag, topic, reading)
        if why:
            notes.append(f"{topic} is left out: {why}")
        else:
            chosen.append(topic)
    if not chosen:
        raise ValueError(f"{bag.path}: {'; '.join(notes) or f'no image topic: it has {there}'}")
    return chosen, notes


def _not_by_default(topic: str, images: list[str]) -> str:
    if OWN.search(topic):
        return f"an overlay, drawn by a node; --topic {topic} takes it"
    raw = topic.removesuffix("/compressed")
    return (
        f"{raw} has the same images; --topic {topic} takes it"
        if raw in images[:-1] and raw != topic
        else ""
    )


def _no_picture(bag: Bag, topic: str, reading: Reading) -> str:
    """Why a topic's images are no pictures, judged by the first; empty if they are."""
    for message in bag.messages(lambda name, kind: name == topic and kind in (RAW, COMPRESSED)):
        image = read_message(message)
        try:
            if message.kind == RAW:
                check_image(image, reading)
            else:
                check_compressed(image, reading)
        except NoPictureError as error:
            return str(error)
        except ImageError:
            pass  # the others may be well
        return ""
    return "it has no images"


def read_message(message: Message) -> Any:
    """The message's fields."""
    return message_types().deserialize_cdr(message.data, message.kind)


def decode(message: Message, reading: Reading) -> tuple[Any, UInt8[np.ndarray, "h w 3"]]:
    """Header and RGB of an image.

    Raises:
        ImageError: it cannot be read.
    """
    try:
        image = read_message(message)
    except Exception as error:  # of damaged messages the reader raises anything
        raise ImageError(f"the message cannot be read: {error}") from error
    convert = image_to_rgb if message.kind == RAW else compressed_to_rgb
    rgb = convert(image, reading)
    return image.header, rgb if rgb.flags.writeable else rgb.copy()  # as PyTorch wants it


def output_topics(topics: list[str]) -> dict[str, str]:
    """The namespace of what is published for each image topic.

    One camera's are those of the node, `/motion` and so on; those of several lie below the images'
    names.
    """
    if len(topics) == 1:
        return {topics[0]: ""}
    return {topic: topic.removesuffix("/compressed") for topic in topics}
