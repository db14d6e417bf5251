"""The comparison compares what it says.

1  The rivals have about as many parameters as MgNO, take any size, and are learned and saved as it is.
2  A coarse solution comes to the samples' grid: means where it is finer, linear between centres and to the boundary.
3  At equal error: the fastest solve that is as good; training has paid when what it spent is saved.
4  A comparison at a tiny budget goes from samples to the table, and on where it was.
"""

import json
import sys
from argparse import Namespace

import numpy as np
import pytest
import torch

from benchmarks import operators as benchmark
from benchmarks.operator_rivals import UNet, fno, parameters
from mgnet.operators import darcy, evaluate, train


def test_rivals_are_of_the_same_size():
    counts = [parameters(UNet()), parameters(benchmark.MODELS["MgNO, multigrid form"]())]
    assert all(abs(count / 572_661 - 1) < 0.05 for count in counts)
    assert parameters(benchmark.MODELS["MgNO"]()) == 572_661
    assert UNet(2)(torch.zeros(2, 1, 13, 18)).shape == (2, 1, 13, 18)


def test_the_fourier_rival_is_learned_and_saved(tmp_path):
    """Its parameters are complex."""
    pytest.importorskip("neuralop")
    assert abs(parameters(fno()) / 572_661 - 1) < 0.05
    run = train(darcy(12, 32, reference=0), epochs=1, out=tmp_path / "run", model=lambda: fno(2), progress=False)
    again = evaluate(lambda: fno(2), darcy(12, 32, reference=0)[11:], start=run.directory)
    assert again.error == pytest.approx(run.error, rel=1e-4)


@pytest.mark.parametrize("n", [8, 16, 24, 32, 48])
def test_a_coarse_solution_comes_to_the_samples_grid(n):
    def bubble(m):
        x = (np.arange(m) + 0.5) / m
        return np.outer(np.sin(np.pi * x), np.sin(np.pi * x))[None]

    P = benchmark.interpolation(n, 16)
    assert P.shape == (16, n)
    error = benchmark.relative(P @ bubble(n) @ P.T, bubble(16))[0]
    assert error < 2 / n**2 + 2 / 16**2
    if n == 32:
        np.testing.assert_allclose(P.sum(1), 1)


def test_at_equal_error():
    solver = [{"n": n, "tol": 1e-2, "error": 1 / n, "seconds": n**2 * 1e-6} for n in (10, 20, 40)]
    row = {"error": 0.06, "seconds a sample": 1e-4, "training seconds": 59.0}
    found = benchmark.at_equal_error(row, solver, 1.0)
    assert found["solver"]["n"] == 20
    assert found["paid after"] == pytest.approx(60 / (4e-4 - 1e-4))
    assert benchmark.at_equal_error({**row, "seconds a sample": 1e-3}, solver, 1.0)["paid after"] is None
    assert benchmark.at_equal_error({**row, "error": 0.001}, solver, 1.0)["solver"] is None


def test_a_tiny_comparison(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "MODELS", {"MgNO": lambda: benchmark.MgNO(width=2, layers=1, grids=2)})
    monkeypatch.setattr("mgnet.operators.training.Regression.illustrate", lambda self, run: None)
    monkeypatch.setattr(benchmark, "GRIDS", (8, 16))
    line = f"--samples 20 --test 3 --size 8 --cells 16 --minutes 0.001 --runs {tmp_path}/runs --out {tmp_path}/out"
    monkeypatch.setattr(sys, "argv", ["operators", "compare", *line.split()])
    benchmark.main()
    result = json.loads((tmp_path / "out" / "results.json").read_text())
    (row,) = result["rows"]
    assert row["error"] == pytest.approx(np.mean(row["errors"]))
    assert len(row["errors"]) == 2
    assert f"{row['error']:.3%}" in (tmp_path / "out" / "table.md").read_text() in capsys.readouterr().out
    assert (tmp_path / "out" / "equal_error.png").exists()
    benchmark.main()  # nothing is trained again
    assert json.loads((tmp_path / "out" / "results.json").read_text())["rows"][0]["errors"] == row["errors"]


def test_the_samples_are_timed_and_checked(tmp_path, capsys):
    benchmark.data(Namespace(samples=2, size=24, out=tmp_path))
    result = json.loads((tmp_path / "data.json").read_text())
    assert result["largest algebraic error"] < 1e-8
    assert result["seconds, with measured errors"] > 0
    assert "2 samples at 24^2" in capsys.readouterr().out
