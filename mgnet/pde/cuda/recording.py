"""Work on fixed arrays as one CUDA graph: launched whole, without the time that each launch takes."""

from collections.abc import Callable

import torch
from torch import Tensor


class Recording:
    """A function without arguments that reads and writes the same memory each time.

    The first call runs it once, which compiles its kernels and allocates its workspaces, and records it
    then; every call replays the record. On a CPU (the interpreter's tensors) the function just runs.

    Parameters
    ----------
    function : must not wait for the device
    device : where its tensors lie
    """

    def __init__(self, function: Callable[[], Tensor], device: torch.device):
        self._function, self._device = function, device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._result: Tensor | None = None

    def __call__(self) -> Tensor:
        if self._device.type != "cuda":
            return self._function()
        if self._graph is None or self._result is None:
            self._graph, self._result = self._record()
        self._graph.replay()
        return self._result

    def _record(self) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        with torch.cuda.device(self._device):
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self._function()
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                result = self._function()
        return graph, result
