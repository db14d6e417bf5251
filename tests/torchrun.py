"""torchrun, but that what it starts is forked: torch is imported once.

python tests/torchrun.py ARGUMENTS
"""

import runpy
import sys
from collections.abc import Callable
from typing import Any

from torch.distributed import run

import mgnet.pde.solver
import mgnet.vision.training  # noqa: F401


def begun(*words: str) -> None:
    """What ``python -u WORDS`` does; a status is an error, or torchrun would wait for what is returned."""
    is_module = words[1] == "-m"
    name, *arguments = words[1 + is_module :]
    sys.argv = [name, *arguments]
    try:
        (runpy.run_module if is_module else runpy.run_path)(name, run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise RuntimeError(f"{name} ended with status {end.code}") from None


def launch(config: Any, entrypoint: str) -> Callable[..., Any]:
    config.start_method = "fork"
    return elastic_launch(config, begun)


if __name__ == "__main__":
    elastic_launch, run.elastic_launch = run.elastic_launch, launch
    run.main(sys.argv[1:])
