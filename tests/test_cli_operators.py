"""The operator commands do what the functions do, and complain in one line.

1  data writes what darcy, poisson and heat make; a published file is taken, thinned.
2  train, evaluate, predict and export work on what the one before has written.
3  A wrong argument costs one line on stderr and exit status 2, a loss that is not finite status 1.
"""

import json

import numpy as np
import pytest
import scipy.io

from mgnet import operators
from mgnet.cli import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Samples and a run, made by the commands."""
    folder = tmp_path_factory.mktemp("operator")
    assert main(f"operator data poisson --ndim 1 --samples 30 --size 16 --out {folder}/data.npz".split()) == 0
    network = "--width 3 --layers 1 --grids 2 --form multigrid --up 3"
    line = f"operator train {folder}/data.npz {network} --epochs 2 --set lr=0.01 --set loss=h1 --out {folder}/run"
    assert main(line.split()) == 0
    return folder


def test_data_are_those_of_the_functions(folder, tmp_path, capsys):
    assert operators.load(folder / "data.npz").hash == operators.poisson(30, 16, ndim=1).hash
    line = "operator data darcy --kind rough --samples 2 --size 16 --cells 32 --seed 3 --first 5 --reference 0"
    assert main([*line.split(), "--out", str(tmp_path / "d.npz")]) == 0
    made = operators.darcy(2, 16, kind="rough", cells=32, seed=3, first=5, reference=0)
    assert operators.load(tmp_path / "d.npz").hash == made.hash
    assert f"2 samples on 16 x 16; sha256 {made.hash[:16]}" in capsys.readouterr().out
    line = "operator data heat --bc dirichlet --time 0.02 --samples 2 --size 8 --ndim 1"
    assert main([*line.split(), "--out", str(tmp_path / "h.npz")]) == 0
    made = operators.heat(2, 8, bc="dirichlet", time=0.02, ndim=1)
    assert operators.load(tmp_path / "h.npz").hash == made.hash
    assert f"mean relative error {made.error.mean():.3%}" in capsys.readouterr().out


def test_a_published_file_is_taken_and_thinned(tmp_path):
    a = np.random.default_rng(0).standard_normal((3, 9, 9))
    scipy.io.savemat(tmp_path / "file.mat", {"coeff": a, "pressure": 2 * a})
    line = f"operator data {tmp_path}/file.mat --outputs pressure --every 2 --out {tmp_path}/d.npz"
    assert main(line.split()) == 0
    np.testing.assert_array_equal(operators.load(tmp_path / "d.npz").outputs, 2 * a[:, ::2, ::2])


def test_the_network_and_the_recipe_are_those_asked_for(folder):
    config = json.loads((folder / "run" / "config.json").read_text())
    assert config["model"]["width"] == 3
    assert config["model"]["form"] == "multigrid"
    assert (config["model"]["up"], config["model"]["nu"]) == ([3], [1, 2])
    assert (config["lr"], config["loss"], config["epochs"]) == (0.01, "h1", 2)


def test_evaluate_predict_and_export(folder, tmp_path, capsys):
    run, data = folder / "run", operators.load(folder / "data.npz")
    assert main(["operator", "evaluate", str(run), str(folder / "data.npz"), "--out", str(tmp_path / "m.json")]) == 0
    error = operators.evaluate(run, data).error
    assert f"{'error':18s} {error:.3%}" in capsys.readouterr().out
    assert json.loads((tmp_path / "m.json").read_text())["error"] == pytest.approx(error)
    expected = operators.predict(run, data.f)
    np.save(tmp_path / "f.npy", data.f)
    for given in (folder / "data.npz", tmp_path / "f.npy"):
        assert main(["operator", "predict", str(run), str(given), "--out", str(tmp_path / f"{given.stem}-u.npy")]) == 0
        np.testing.assert_array_equal(np.load(tmp_path / f"{given.stem}-u.npy"), expected)
    assert main(["operator", "export", str(run), str(tmp_path / "model.pt2"), "--grid", "24"]) == 0
    assert (tmp_path / "model.pt2").exists()


def test_several_seeds(folder, tmp_path, capsys):
    line = (
        f"operator train {folder}/data.npz --width 2 --layers 1 --grids 2 --epochs 1 --seeds 2 --out {tmp_path}/sweep"
    )
    assert main(line.split()) == 0
    assert "over 2 seeds" in capsys.readouterr().out
    assert (tmp_path / "sweep" / "seeds.csv").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("data darcy --bc neumann", "`bc` is none of the options of darcy, which are kind, recipe"),
        ("data poisson --kind rough", "`kind` is none of the options of poisson"),
        ("data heat --inputs a", "`inputs` is none of the options of heat"),
        ("data {}/data.npz --kind rough --out o.npz", "data.npz, which are inputs, outputs"),
        ("data darcy --every 0", "`every` must be a whole number of at least 1"),
        ("data darcy --samples some", "Invalid value for '--samples': not a valid integer"),
        ("train {}/data.npz --up 5 --out {}/other", "`up` must be a whole number, 3 or 4, or"),
        ("data darcy --size 2", "`size` must be a whole number of at least 4"),
        ("data stokes", "`problem` must be one of darcy, poisson, heat, a file of samples; it is 'stokes'"),
        ("data darcy --out d.mat --samples 1 --size 8", "`out` must end in .npz"),
        ("train {}/no.npz", "there is no file"),
        ("train {}/data.npz --set los=1", "it is 'los=1'. Did you mean 'loss'?"),
        ("train {}/data.npz --grids 6 --out {}/other", "`x` must have 17 points or more along each axis for 6 grids"),
        ("train {}/data.npz --out {}/run", "holds a run"),
        ("evaluate {} {}/data.npz", "must be a run's folder or a .safetensors file"),
        ("predict {}/run {}/data.npz --out {}/u.csv", "`out` must end in .npy"),
        ("export {}/run {}/m.onnx --grid 4x4", "`grid` must be whole numbers, as 64,64; it is '4x4'"),
    ],
)
def test_wrong_arguments_cost_one_line(line, message, folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["operator", *line.replace("{}", str(folder)).split()]) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("mgnet: ")
    assert message in said


def test_a_loss_that_is_not_finite_is_status_1(folder, tmp_path, capsys):
    line = f"operator train {folder}/data.npz --width 2 --layers 1 --grids 2 --epochs 9 --out {tmp_path}/run"
    assert main([*line.split(), "--set", "muon_lr=1e30", "--set", "warmup=0"]) == 1
    assert "the loss is not finite" in capsys.readouterr().err


def test_what_was_not_measured_is_said_in_words(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    line = "operator data poisson --ndim 1 --samples 30 --size 16 --reference 0"
    assert main(line.split()) == 0
    line = "operator train samples.npz --width 2 --layers 1 --grids 2 --epochs 1 --set validation=0 --out run"
    assert main(line.split()) == 0
    assert main(["operator", "evaluate", "run", "samples.npz"]) == 0
    assert "not measured" in capsys.readouterr().out
    page = (tmp_path / "run" / "report.html").read_text()
    assert page.count("not measured") == 2
    assert "nan" not in page.lower()
