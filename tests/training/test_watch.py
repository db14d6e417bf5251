"""What goes on beside the steps: rates."""

import time
from types import SimpleNamespace

import pytest

from mgnet.training import watch


def test_the_rate_is_that_of_steps_done_and_not_of_steps_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """On an accelerator a step returns before it is done, and all are done when one looks at the loss."""
    times = iter((0.0, 2.0, 4.0, 14.0))
    fake = SimpleNamespace(perf_counter=lambda: next(times), process_time=time.process_time)
    monkeypatch.setattr(watch, "time", fake)
    clock = watch.Clock()
    for steps in (20, 20, 5):
        clock.tick(steps)
    row = clock.row(batch_size=128, unit="images")
    assert (row["images_per_second"], row["seconds"]) == (1280, 14)
