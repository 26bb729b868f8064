# SPDX-License-Identifier: Apache-2.0
"""Why a question is not answered: the codes of msg/ErrorCode.msg, which says what each means."""

from __future__ import annotations

import enum


class ErrorCode(enum.IntEnum):
    """The constants of msg/ErrorCode."""

    NONE = 0
    NOT_ACTIVE = 1
    NO_IMAGE = 2
    IMAGE_NOT_KEPT = 3
    INVALID_REQUEST = 4
    TOO_LARGE = 5
    PREDICTION_FAILED = 6
    CANCELED = 7
    BUSY = 8


class RequestError(Exception):
    """A request that cannot be served; the text names the field, the value and what is allowed."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> RequestError:
    return RequestError(ErrorCode.INVALID_REQUEST, message)


def too_large(message: str) -> RequestError:
    return RequestError(ErrorCode.TOO_LARGE, message)
