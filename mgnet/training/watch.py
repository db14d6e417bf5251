"""What goes on beside the steps of a training: the loss is watched, time is taken, signals are heard."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import Tensor

from mgnet.training.process import Process


class Diverged(RuntimeError, FloatingPointError):
    """The loss, or what a network makes of its data, is not finite."""


def check_finite(output: Tensor) -> None:
    """That a network, asked, says numbers.

    Raises
    ------
    Diverged : it does not
    """
    if not output.isfinite().all():
        raise Diverged("the network's output is not finite. Train anew with a smaller `lr`, or `clip`.")


class Watch:
    """Sums, the loss's first, of steps not yet looked at: to look makes an accelerator wait.

    Parameters
    ----------
    step : steps already done
    """

    def __init__(self, step: int):
        self.step, self.pending = step, list[Tensor]()

    def add(self, sums: Tensor) -> None:
        self.pending.append(sums)

    def look(self, process: Process) -> Tensor:
        """The sums of each of these steps over all processes, a row a step.

        Raises
        ------
        Diverged : one of the losses is not finite
        """
        sums = process.total(torch.stack(self.pending)).cpu()
        bad = (~sums[:, 0].isfinite()).nonzero()
        if len(bad):
            raise Diverged(
                f"the loss is not finite at step {self.step + int(bad[0]) + 1}; training stopped, the last good "
                "checkpoint is kept. Train anew with a smaller `lr`, a longer `warmup` or `clip`."
            )
        self.step += len(self.pending)
        self.pending = []
        return sums


class Clock:
    """Times between looks since the last row of the history: an accelerator may be steps behind until one looks."""

    def __init__(self) -> None:
        self.looks, self.last, self.cpu = list[tuple[float, int]](), time.perf_counter(), time.process_time()

    def tick(self, steps: int) -> None:
        """After a look at so many steps."""
        now = time.perf_counter()
        self.looks.append((now - self.last, steps))
        self.last = now

    def rate(self, batch_size: int) -> float:
        """Samples a second of the median look."""
        return batch_size / median(seconds / steps for seconds, steps in self.looks)

    def row(self, batch_size: int, unit: str = "samples") -> dict[str, float]:
        """Samples a second; seconds of all steps; processor seconds of this process, validation included."""
        row = {f"{unit}_per_second": self.rate(batch_size), "seconds": sum(seconds for seconds, _ in self.looks)}
        return {**row, "cpu_seconds": time.process_time() - self.cpu}


@contextmanager
def interruptible() -> Iterator[threading.Event]:
    """Ctrl-C, and SIGTERM as well, set the event instead of breaking into a step; a second one breaks in."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop  # only the main thread hears signals
        return

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        stop.set()
        restore()

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        restore()


@contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Kernels that give other bits each time are refused inside, where that is wanted."""
    if wanted:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it torch refuses cuBLAS
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)
