"""Which arithmetic a device is good at."""

import torch

from mgnet.training.recipe import Precision


def resolve_precision(asked: Precision, device: torch.device) -> Precision:
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
