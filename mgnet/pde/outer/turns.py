"""Levels serve one solve at a time: threads take turns, and what a callback solves has levels of its own."""

import os
import threading
import weakref
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])
NOBODY = 0


class Turn:
    """Whose turn it is to use what can serve one call at a time.

    Parameters
    ----------
    make : another owner of the same, for calls that this one's calls lead to

    Attributes
    ----------
    owner : the thread whose call is being served
    lost : whether that thread stayed behind in the process that this one was forked from
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make, self.another = make, None
        self.lock, self.owner, self.lost = threading.RLock(), NOBODY, False
        _turns.add(self)

    def after_fork(self) -> None:
        """Wait for no thread that is not here; what it has left half done serves nobody."""
        if self.owner != threading.get_ident():
            self.lock, self.lost = threading.RLock(), self.owner != NOBODY


def in_turn(method: Method) -> Method:
    """The method of an owner of a ``turn``, one call at a time; calls from within a call are another owner's."""

    @wraps(method)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        turn: Turn = self.turn
        with turn.lock:
            if turn.owner != NOBODY:  # this very thread, in a callback
                turn.another = turn.another or turn.make()
                return call(turn.another, *arguments, **named)
            turn.owner = threading.get_ident()
            try:
                return method(self, *arguments, **named)
            finally:
                turn.owner, turn.another = NOBODY, None

    return call  # type: ignore[return-value]


_turns: weakref.WeakSet[Turn] = weakref.WeakSet()


def _after_fork() -> None:
    for turn in _turns:
        turn.after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
