"""The GPU benchmark runs to its end on tiny grids, names what each row reached, and says where no device is."""

import json

import pytest
import torch

from benchmarks.poisson_gpu import main


def test_small_grids(tmp_path, monkeypatch):
    """They are written where asked, else nowhere: what is kept is of whole runs."""
    monkeypatch.chdir(tmp_path)
    assert main(["--small", "--repeats", "1", "--only", "3-D"]) == 0
    assert not list(tmp_path.iterdir())
    assert main(["--small", "--repeats", "1", "--out", str(tmp_path)]) == 0
    (file,) = tmp_path.glob("*.json")
    rows = json.loads(file.read_text())["rows"]
    assert {row["solver"] for row in rows} >= {"mgnet", "torch.fft", "conv2d"}
    for row in rows:
        assert 0 < row["repeat"]
        assert 0 < row["first"]
        assert (row["first ratio"], row["repeat ratio"]) == (1, 1) or row["solver"] != "mgnet"
        assert row["error"] is not None or row["residual"] < 1e-7


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device: the benchmark would run")
def test_without_a_device(capsys):
    assert main([]) == 2
    assert "no CUDA device" in capsys.readouterr().err
