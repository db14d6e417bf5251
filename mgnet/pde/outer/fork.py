"""A forked child has the parent's torch, but not its threads, for which OpenMP would wait forever."""

import os

import torch


def one_thread() -> None:
    """torch works alone in this process, as in a DataLoader's worker; the kernels' helpers are not torch's."""
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=one_thread)
