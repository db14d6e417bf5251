"""`mgnet solve` under torchrun's environment: one file of all processes; one of them dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import mgnet
from mgnet import cli_processes
from mgnet.pde import solve


def started(count: int, code: str, argument: str | Path) -> list[subprocess.Popen]:
    """What torchrun would start."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    common = {"OMP_NUM_THREADS": "1", "WORLD_SIZE": str(count), "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    common["PYTHONPATH"] = str(Path(mgnet.__file__).parents[1])
    command = [sys.executable, "-c", code, str(argument)]
    return [
        subprocess.Popen(
            command, env=os.environ | common | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(count)
    ]  # fmt: skip


IN_TURN = """
import io, json, sys
from contextlib import redirect_stderr, redirect_stdout
from mgnet.cli import main

said = []
for arguments in json.loads(sys.argv[1]):
    out, error = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(error):
        said.append([main(["solve", *arguments]), out, error])
print(json.dumps([(status, out.getvalue(), error.getvalue()) for status, out, error in said]))
"""


def in_turn(*commands: list[str]) -> list[list[tuple[int, str, str]]]:
    """Status, output and errors of each ``mgnet solve`` on each of two processes."""
    processes = started(2, IN_TURN, json.dumps(commands))
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    return [json.loads(out) for out, _ in said]


def test_each_process_has_a_gpu_of_its_own() -> None:
    with pytest.raises(ValueError, match="each process takes its own; it is 'cuda:1'"), cli_processes._group("cuda:1"):
        pass


def test_each_process_writes_its_block_and_a_fault_is_one_line(tmp_path: Path) -> None:
    f = np.random.default_rng(0).normal(size=(150, 130))
    np.save(tmp_path / "f.npy", f)
    how = [str(tmp_path / "f.npy"), "--bc", "dirichlet,neumann", "--c", "2"]
    rows, blocks = str(tmp_path / "rows"), str(tmp_path / "blocks")
    first, second = in_turn(
        [*how, "--out", rows],
        [*how, "--blocks", "1,2", "--out", blocks],
        ["100", "--a", "-1", "--out", str(tmp_path / "wrong")],
    )
    assert "rows 0:75, 75:150" in first[0][1]
    assert "blocks 0:150 x 0:65, 0:150 x 65:130" in first[1][1]
    u = solve(f, bc=("dirichlet", "neumann"), c=2.0).u
    for (one, other), folder in zip(zip(first, second, strict=True), (rows, blocks), strict=False):
        assert (one[0], other) == (0, [0, "", ""])
        np.testing.assert_allclose(np.load(Path(folder) / "u.npy"), u, atol=1e-14 * np.abs(u).max())
        assert [path.name for path in Path(folder).iterdir()] == ["u.npy"]
    for status, _, error in (first[2], second[2]):
        assert (status, error.count("\n")) == (2, 1)
        assert "`a` must be positive" in error


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
    processes = started(3, FOR_EVER, tmp_path)
    while len(list(tmp_path.glob("ready*"))) < 3:
        time.sleep(0.1)
    processes[1].send_signal(signal.SIGKILL)
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode != 0
