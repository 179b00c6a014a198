"""Locks that survive a fork.

A process that is forked has one thread, the one that called `os.fork`; a lock that another thread held at that moment
is held for ever. What these locks guard are single steps on objects in memory, which are whole at any moment, and
whoever held one in the parent still does there; so the child begins with all of them free.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Any

__all__ = ["forkable_lock"]

_made: weakref.WeakSet[Any] = weakref.WeakSet()


def forkable_lock() -> threading.Lock:
    """A `threading.Lock` that is free in a forked process, whoever held it in the parent."""
    lock = threading.Lock()
    _made.add(lock)
    return lock


def _free() -> None:
    for lock in _made:
        lock._at_fork_reinit()  # what the standard library does with its own, such as those of logging


if hasattr(os, "register_at_fork"):  # not on Windows, where nothing is forked
    os.register_at_fork(after_in_child=_free)
