"""`mgnet solve` under torchrun's environment: one file of all processes; one of them dies."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import mgnet
from mgnet.pde import solve


def started(
    count: int, *arguments: str | Path, run: Sequence[str] = ("-m", "mgnet", "solve")
) -> list[subprocess.Popen]:
    """What torchrun would start."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    common["PYTHONPATH"] = str(Path(mgnet.__file__).parents[1])
    command = [sys.executable, *run, *map(str, arguments)]
    return [
        subprocess.Popen(
            command, env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("split", "told"), [([], "rows 0:75, 75:150"), (["--blocks", "1,2"], "blocks 0:150 x 0:65, 0:150 x 65:130")]
)
def test_each_process_writes_its_block(split: list[str], told: str, tmp_path: Path) -> None:
    f = np.random.default_rng(0).normal(size=(150, 130))
    np.save(tmp_path / "f.npy", f)
    how = ["--bc", "dirichlet,neumann", "--c", "2", *split]
    processes = started(2, tmp_path / "f.npy", *how, "--out", tmp_path / "out")
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert told in said[0][0]
    assert said[1][0] == ""
    u = solve(f, bc=("dirichlet", "neumann"), c=2.0).u
    np.testing.assert_allclose(np.load(tmp_path / "out" / "u.npy"), u, atol=1e-14 * np.abs(u).max())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["u.npy"]


def test_a_fault_is_one_line(tmp_path: Path) -> None:
    processes = started(2, "100", "--a", "-1", "--out", tmp_path)
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 2
        assert "`a` must be positive" in error
        assert "Traceback" not in error


FOR_EVER = """
import sys
from pathlib import Path
import numpy as np
import torch.distributed as dist
from mgnet.pde import Grid, Partition, solve

dist.init_process_group("gloo")
partition = Partition(Grid((200, 150)))
while True:
    solve(np.ones(partition.shape), partition=partition)
    Path(sys.argv[1], f"ready{partition.rank}").touch()
"""


def test_none_hangs_where_one_is_killed(tmp_path: Path) -> None:
    processes = started(3, tmp_path, run=("-c", FOR_EVER))
    while len(list(tmp_path.glob("ready*"))) < 3:
        time.sleep(0.1)
    processes[1].send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode != 0
