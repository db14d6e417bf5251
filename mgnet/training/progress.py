"""How far work is: a bar on a terminal, lines elsewhere."""

import sys
import time
from types import TracebackType

from tqdm import tqdm

_APART = 30.0  # seconds between two lines, at most


class Progress:
    """A bar where stderr is a terminal; else a line there each time that twice as long has passed, or half a minute.

    Parameters
    ----------
    total, done : of all there is to do, what is done already
    wanted : False says nothing

    Example
    -------
    >>> with Progress(10, "step", wanted=False) as progress:
    ...     progress.show(10, "epoch 1/1", "loss 0.1")
    """

    def __init__(self, total: int, unit: str, wanted: bool, done: int = 0):
        self.total, self.unit, self.done = total, unit, done
        self.bar = tqdm(total=total, initial=done, unit=unit, disable=None if wanted else True)
        self.lines = wanted and self.bar.disable  # tqdm has found no terminal
        self.begun, self.next = time.monotonic(), 0.0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.bar.close()

    def show(self, done: int, *said: str) -> None:
        """What is done of all; what there is to say of it, the first where the bar begins."""
        if said:
            self.bar.set_description(said[0], refresh=False)
            self.bar.set_postfix_str(", ".join(said[1:]))
        self.bar.update(done - self.bar.n)
        passed = time.monotonic() - self.begun
        if self.lines and (passed >= self.next or done == self.total):
            self.next = passed + min(max(passed, 1.0), _APART)
            line = [f"{self.unit} {done:,}/{self.total:,}", *said, *self._left(done, passed)]
            print(", ".join(line), file=sys.stderr, flush=True)

    def _left(self, done: int, passed: float) -> list[str]:
        """The time that is still needed, at the pace so far."""
        if done in (self.done, self.total):
            return []
        return [f"{tqdm.format_interval(passed / (done - self.done) * (self.total - done))} left"]
