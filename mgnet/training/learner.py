"""One training step, and all that it changes."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mgnet.training.optimizers import make_optimizer
from mgnet.training.order import axes, channels_last
from mgnet.training.process import Process
from mgnet.training.randomness import begun, seed_of
from mgnet.training.recipe import Steps
from mgnet.training.weights import tensors

Batch = tuple[Tensor, Tensor]
#: (output, target) -> one value a sample, (n,), under each name, "loss" among them.
Losses = Callable[[Tensor, Tensor], dict[str, Tensor]]


class Learner:
    """A network with its optimiser and averages.

    Parameters
    ----------
    losses : the mean of its "loss" is what is made small; of the others sums are kept
    steps_per_epoch : what turns a step into a time for the learning rate
    idle : whether the network has parameters that an output need not depend on
    """

    def __init__(
        self,
        model: nn.Module,
        losses: Losses,
        recipe: Steps,
        seed: int,
        steps_per_epoch: int,
        process: Process,
        idle: bool = False,
    ):
        self.losses, self.recipe, self.seed = losses, recipe, seed
        self.steps_per_epoch, self.process = steps_per_epoch, process
        order = self._order(axes(model))
        self.model = model.to(process.device, memory_format=order).train()  # type: ignore[call-overload]
        self.optimizer = make_optimizer(self.model, recipe)
        self.average = AveragedModel(self.model, multi_avg_fn=self._mix, use_buffers=True) if recipe.ema else None
        self.network = self._wrapped(idle)
        self.names: tuple[str, ...] = ()  # of the losses, "loss" first

    def _order(self, ndim: int) -> torch.memory_format:
        """Of tensors with so many axes."""
        return channels_last(ndim) if self.recipe.channels_last else torch.contiguous_format

    def _wrapped(self, idle: bool) -> nn.Module:
        model = self.model
        if self.process.world > 1:
            model = DistributedDataParallel(model, find_unused_parameters=idle)
        return torch.compile(model, dynamic=False) if self.recipe.compile else model  # type: ignore[return-value]

    def _mix(self, averaged: Any, current: Any, n: Any) -> None:
        """Into the average of n steps' weights that of one more: older ones count ema^k, and all together 1."""
        assert self.average is not None
        decay, n = self.recipe.ema, int(self.average.n_averaged)  # on the CPU, which waits for nothing
        get_ema_multi_avg_fn(1 - (1 - decay) / (1 - decay ** (n + 1)))(averaged, current, n)

    @property
    def tested(self) -> nn.Module:
        """The weights to test and save."""
        return self.average.module if self.average else self.model

    def update(self, step: int, parts: list[Batch]) -> Tensor:
        """One step; returns the sums over the batch of each of `names`, and of samples."""
        self._set_learning_rate(step)
        self.optimizer.zero_grad()
        with begun(seed_of(self.seed, "dropout", step, self.process.rank)):
            sums = torch.stack([self._gradient(parts, i) for i in range(len(parts))]).sum(0)
        if self.recipe.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.clip)
        self.optimizer.step()
        if self.average:
            self.average.update_parameters(self.model)
        return sums

    def _gradient(self, parts: list[Batch], i: int) -> Tensor:
        """Add the gradient of part i; processes exchange theirs with the last part."""
        x, target = parts[i]
        waiting = isinstance(self.network, DistributedDataParallel) and i + 1 < len(parts)
        with self.network.no_sync() if waiting else nullcontext():  # type: ignore[operator]
            with self.arithmetic():
                output = self.network(x.contiguous(memory_format=self._order(x.ndim)))
            values = self.losses(output.float() if output.dtype == torch.bfloat16 else output, target)
            (values["loss"].mean() / len(parts)).backward()
        self.names = ("loss", *(name for name in values if name != "loss"))
        sums = [values[name].detach().double().sum() for name in self.names]
        return torch.stack([*sums, sums[0].new_full((), len(x))])

    def arithmetic(self) -> AbstractContextManager:
        """autocast to bfloat16, or nothing."""
        return torch.autocast(self.process.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16")

    def _set_learning_rate(self, step: int) -> None:
        rate = self.recipe.learning_rate((step + 0.5) / self.steps_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = group["share"] * rate

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs beside the tested weights."""
        averaged = {"network": tensors(self.model), "average": self.average.state_dict()} if self.average else {}
        return {"optimizer": self.optimizer.state_dict(), **averaged}

    def load(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
