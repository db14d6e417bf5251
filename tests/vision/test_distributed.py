"""Two processes that torchrun starts do what one does with the same batches in two parts."""

import os
import subprocess
import sys
from pathlib import Path

import torch

from mgnet.vision import Recipe, train
from mgnet.vision.weights import read_weights

_SCRIPT = """
import gc, sys, torch
from pathlib import Path
from mgnet.vision import Recipe, train
torch.set_num_threads(1)
recipe = Recipe(epochs=2, batch_size=64, precision="float32", mixup=0.2, clip=1.0)
train("MgNet[2,1]-8-B^l", seed=5, out=sys.argv[1], recipe=recipe, device="cpu", progress=False)
gc.collect()
names = [path.read_text() for path in Path("/proc/self/task").glob("*/comm")]  # (Linux)
assert not any("gloo" in name for name in names), "the group's threads outlive the run"
"""


def test_two_processes_train_as_one_with_two_parts(tmp_path: Path) -> None:
    """Weights agree to round-off. The running statistics of the norms are those of the first process."""
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    launcher = Path(__file__).parents[1] / "torchrun.py"
    command = [sys.executable, str(launcher), "--standalone", "--nproc-per-node=2", str(script)]
    here = os.pathsep.join(filter(None, [str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": here, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(tmp_path / "two")], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    recipe = Recipe(epochs=2, batch_size=64, precision="float32", mixup=0.2, clip=1.0, accumulate=2)
    run = train("MgNet[2,1]-8-B^l", seed=5, out=tmp_path / "one", recipe=recipe, device="cpu", progress=False)
    one, two = (read_weights(tmp_path / name / "model.safetensors")[0] for name in ("one", "two"))
    for name in (n for n, _ in run.model.named_parameters()):
        torch.testing.assert_close(one[name], two[name], rtol=1e-3, atol=1e-4)
    losses = [(tmp_path / name / "history.csv").read_text().splitlines()[1].split(",")[2] for name in ("one", "two")]
    assert abs(float(losses[0]) - float(losses[1])) < 1e-4
