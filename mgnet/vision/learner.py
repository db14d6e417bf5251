"""One training step, and all that it changes."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from mgnet.vision.batches import Batch
from mgnet.vision.network import MgNet
from mgnet.vision.notation import parse
from mgnet.vision.optimizers import make_optimizer
from mgnet.vision.process import Process
from mgnet.vision.randomness import seed_of
from mgnet.vision.recipe import Recipe
from mgnet.vision.weights import tensors


class Learner:
    """A network with its optimiser and averages.

    Parameters
    ----------
    steps_per_epoch : what turns a step into a time for the learning rate
    """

    def __init__(self, model: nn.Module, recipe: Recipe, seed: int, steps_per_epoch: int, process: Process):
        self.recipe, self.seed, self.steps_per_epoch, self.process = recipe, seed, steps_per_epoch, process
        order = torch.channels_last if recipe.channels_last else torch.contiguous_format
        self.model = model.to(process.device, memory_format=order).train()  # type: ignore[call-overload]
        self.order = order
        self.optimizer = make_optimizer(self.model, recipe)
        average = get_ema_multi_avg_fn(recipe.ema)
        self.average = AveragedModel(self.model, multi_avg_fn=average, use_buffers=True) if recipe.ema else None
        self.network = self._wrapped()

    def _wrapped(self) -> nn.Module:
        model = self.model
        if self.process.world > 1:
            idle = isinstance(model, MgNet) and parse(model.notation).nu[-1] < 2  # the last A is then not used
            model = DistributedDataParallel(model, find_unused_parameters=idle)
        return torch.compile(model, dynamic=False) if self.recipe.compile else model  # type: ignore[return-value]

    @property
    def tested(self) -> nn.Module:
        """The weights to test and save."""
        return self.average.module if self.average else self.model

    def update(self, step: int, parts: list[Batch]) -> Tensor:
        """One step; returns the sums (loss, right, images) over the batch."""
        torch.manual_seed(seed_of(self.seed, "dropout", step, self.process.rank))
        self._set_learning_rate(step)
        self.optimizer.zero_grad()
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
                logits = self.network(x.contiguous(memory_format=self.order)).float()
            loss = F.cross_entropy(logits, target, label_smoothing=self.recipe.label_smoothing)
            (loss / len(parts)).backward()
        right = (logits.argmax(1) == target.argmax(1)).sum()
        return torch.stack([loss.detach() * len(x), right, right.new_full((), len(x))]).double()

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


def resolve_precision(asked: str, device: torch.device) -> str:
    """What "auto" means on a device.

    Example
    -------
    >>> resolve_precision("float32", torch.device("cpu"))
    'float32'
    """
    if asked != "auto":
        return asked
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    able = torch.cpu.get_capabilities() if device.type == "cpu" else {}
    return "bfloat16" if any(able.get(k) for k in ("avx512_bf16", "amx_bf16", "bf16")) else "float32"
