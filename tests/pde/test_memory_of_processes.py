"""With varying coefficients a process of N holds 1.2 / N of what one process would, and 60 MB more at most."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import mgnet

SOLVE = """
import multiprocessing, resource, sys
from pathlib import Path
import numpy as np
import torch
import torch.distributed as dist
from mgnet.pde import Grid, Partition, solve

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def run(folder, rank, count):
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

how = multiprocessing.get_context("fork")  # torch is imported once
for count in (1, 4):
    folder = Path(sys.argv[1], str(count))
    folder.mkdir()
    each = [how.Process(target=run, args=(folder, rank, count)) for rank in range(count)]
    for process in each:
        process.start()
    for process in each:
        process.join()
        assert process.exitcode == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems count memory in other ways")
def test_memory_of_a_process(tmp_path: Path) -> None:
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(mgnet.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", SOLVE, str(tmp_path)], env=environment, check=True, timeout=300)
    megabytes = {
        count: max(float(path.read_text()) for path in (tmp_path / str(count)).glob("* *")) for count in (1, 4)
    }
    assert megabytes[4] <= 1.2 / 4 * megabytes[1] + 60, megabytes
