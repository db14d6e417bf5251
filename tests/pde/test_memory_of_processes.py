"""With varying coefficients a process of N holds 1.2 / N of what one process would, and 60 MB more at most."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mgnet

SOLVE = """
import resource, sys
from pathlib import Path
import numpy as np
import torch
import torch.distributed as dist
from mgnet.pde import Grid, Partition, solve

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

folder, rank, count = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/group", rank=rank, world_size=count)
small = Partition(Grid((600, 300)))
solve(np.ones(small.shape), partition=small, a=1 + np.random.rand(*small.shape))
before, partition = peak(), Partition(Grid((1400, 1400), centering="cell"))
x, y = (axis.x[there] for axis, there in zip(partition.grid.axes, partition.slices))
f, a = np.random.default_rng(rank).normal(size=partition.shape), np.exp(np.sin(3 * (x[:, None] + y)))
solve(f, partition=partition, a=a) if count > 1 else solve(f, grid=partition.grid, a=a)
(folder / f"{count} {rank}").write_text(str(peak() - before))
dist.barrier()
dist.destroy_process_group()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other ways")
def test_memory_of_a_process(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(mgnet.__file__).parents[1])}
    megabytes = {}
    for count in (1, 4):
        folder = tmp_path / str(count)
        folder.mkdir()
        words = [sys.executable, "-c", SOLVE, str(folder)]
        each = [subprocess.Popen([*words, str(rank), str(count)], env=environment) for rank in range(count)]
        assert {process.wait(timeout=300) for process in each} == {0}
        megabytes[count] = max(float((folder / f"{count} {rank}").read_text()) for rank in range(count))
    assert megabytes[4] <= 1.2 / 4 * megabytes[1] + 60, megabytes
