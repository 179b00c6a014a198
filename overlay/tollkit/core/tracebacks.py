"""Tracebacks that hold no secret.

Programs that report errors show the local variables of every frame, and beneath a client those are header fields and
bodies with tokens in them, as libraries have taken them apart. File and line of each frame stay.
"""

from __future__ import annotations

import traceback

__all__ = ["forget_locals"]


def forget_locals(error: BaseException, handled: BaseException | None) -> None:
    """Empty the frames that have ended of an error and of all that led to it.

    Args:
        error: The error, in the frame that it is about to leave.
        handled: What was being handled when that frame was entered (`sys.exception()`): it is the caller's, and
            stays as it is.
    """
    pending: list[BaseException | None] = [error]
    seen = [handled]
    while pending:
        one = pending.pop()
        if one is not None and not any(one is known for known in seen):
            seen.append(one)
            traceback.clear_frames(one.__traceback__)
            pending += [one.__cause__, one.__context__]
