"""Operators are learned, and what is learned can be used.

1  A training leaves a whole folder, learns, and is the same again with the same seed.
2  A run that was killed and resumed is bit for bit the run that was not.
3  A box has its symmetries; a turned solution is the solution of the turned problem; moments are alike from all sides.
4  Errors are what they say; normalisation is undone, on any grid.
5  evaluate, predict and export agree with the network, on the grid it was trained on and on others.
6  Any network can be learned; wrong arguments, data and checkpoints are named; a loss that is not finite stops.
7  What a network says is finite. What torch has set around a call changes nothing.
"""

import copy
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mgnet.operators import (
    Diverged,
    MgNO,
    Recipe,
    Samples,
    darcy,
    evaluate,
    export,
    heat,
    load,
    poisson,
    predict,
    preset,
    read_history,
    save,
    sweep,
    train,
)
from mgnet.operators.batches import Turned, tensors_of
from mgnet.operators.normalise import Normalised, moments, on_grid
from mgnet.operators.norms import LOSSES, relative_h1, relative_l2, spectrum
from mgnet.operators.runs import metrics_of
from mgnet.operators.symmetries import symmetries, turned
from mgnet.operators.training import network_for
from mgnet.pde import solve
from mgnet.training.runs import read_metrics
from mgnet.training.weights import read_tensors


@pytest.fixture(scope="module")
def data():
    return poisson(60, 16, ndim=1, alpha=3.0)


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch, run):
    """They take longer than all else; the run that all tests share has its own."""
    monkeypatch.setattr("mgnet.operators.training.Regression.illustrate", lambda self, run: None)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return train(data, out=tmp_path_factory.mktemp("run") / "run", recipe=SHORT, model=small, progress=False)


SHORT = Recipe(epochs=20, batch_size=6, lr=1e-2)


def small():
    return MgNO(width=4, layers=2, grids=3, ndim=1)


def test_a_run_is_whole_and_learns(run, data):
    assert repr(run).startswith("Run(MgNO: test error ")
    names = {path.name for path in run.directory.iterdir()}
    assert names == {
        "checkpoints", "config.json", "environment.json", "history.csv", "metrics.json", "model.safetensors", "plots",
        "report.html",
    }  # fmt: skip
    assert {path.name for path in (run.directory / "plots").iterdir()} == {
        "learning_curves.png", "sample.png", "error_spectrum.png",
    }  # fmt: skip
    for row, kept in zip(read_history(run.directory), run.history, strict=True):
        assert row == pytest.approx(kept)
    assert run.history[-1]["train_error"] < 0.2 * run.history[0]["train_error"]
    assert run.error < 0.3  # that of the mean is 1
    assert run.metrics.samples == 6
    assert json.loads((run.directory / "metrics.json").read_text())["error"] == run.error
    assert "relative L2" in (run.directory / "report.html").read_text()
    assert json.loads((run.directory / "config.json").read_text())["samples"]["problem"] == "poisson"


def weights(folder):
    return read_tensors(folder / "model.safetensors", "mgnet.operators")[0]


def assert_same_weights(first, second):
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_killed_run_resumed_is_the_run_that_was_not(tmp_path, data, monkeypatch):
    recipe = replace(SHORT, epochs=3, ema=0.9)
    given = {"recipe": recipe, "model": small, "progress": False, "checkpoint_every": 3}
    whole = train(data, out=tmp_path / "whole", **given)
    stream = Turned.stream

    def broken(self, first, last):
        yield from stream(self, first, 14)
        raise OSError("the power is gone")

    monkeypatch.setattr(Turned, "stream", broken)
    with pytest.raises(OSError, match="the power is gone"):
        train(data, out=tmp_path / "killed", **given)
    monkeypatch.undo()
    again = train(data, out=tmp_path / "killed", resume=True, **given)
    assert_same_weights(weights(tmp_path / "whole"), weights(tmp_path / "killed"))
    assert again.error == whole.error


def test_the_seed_decides(tmp_path, data):
    recipe = replace(SHORT, epochs=1)
    swept = sweep(data, seeds=(0, 1), out=tmp_path / "sweep", recipe=recipe, model=small, progress=False)
    again = train(data, seed=1, out=tmp_path / "again", recipe=recipe, model=small, progress=False)
    assert_same_weights(weights(tmp_path / "again"), weights(tmp_path / "sweep" / "seed1"))
    assert swept.scores.values == tuple(one.error for one in swept.runs)
    assert swept.scores.values[1] == again.error != swept.scores.values[0]
    assert "over 2 seeds" in str(swept)
    assert (tmp_path / "sweep" / "seeds.csv").exists()


@pytest.mark.parametrize(("grid", "count"), [((5,), 2), ((4, 4), 8), ((4, 5), 4), ((3, 3, 3), 48), ((3, 4, 3), 16)])
def test_a_box_has_its_symmetries(grid, count):
    """As many as it should, all different, a group; the identity is the first."""
    v = torch.arange(int(np.prod(grid))).reshape(grid)
    sides = [turned(v, symmetry) for symmetry in symmetries(grid)]
    assert len({tuple(side.flatten().tolist()) for side in sides}) == len(sides) == count
    assert torch.equal(sides[0], v)
    twice = {tuple(turned(side, symmetry).flatten().tolist()) for side in sides for symmetry in symmetries(grid)}
    assert len(twice) == count


def test_a_turned_solution_solves_the_turned_problem():
    samples = darcy(1, 12, reference=0)
    for symmetry in symmetries((12, 12)):
        a, u = (turned(torch.as_tensor(v[0]), symmetry).numpy() for v in (samples.a, samples.u))
        again = solve(np.ones((12, 12)), a=np.ascontiguousarray(a), centering="cell", tol=1e-11).u
        np.testing.assert_allclose(again, u, rtol=1e-8)


def test_batches_are_turned_samples(data):
    x, u = tensors_of(data)
    from mgnet.training.process import Process

    batches = Turned(x, u, symmetries((16,)), 6, 1, 0, Process(0, 1, torch.device("cpu")))
    seen = set()
    for ((x_i, u_i),) in batches.stream(0, 10):
        for one, other in zip(x_i, u_i, strict=True):
            found = [
                (i, side)
                for i in range(len(x))
                for side in range(2)
                if torch.equal(turned(x[i], symmetries((16,))[side]), one)
            ]
            assert len(found) == 1
            assert torch.equal(turned(u[found[0][0]], symmetries((16,))[found[0][1]]), other)
            seen |= set(found)
    assert len({i for i, _ in seen}) == 60  # each once an epoch
    assert {side for _, side in seen} == {0, 1}


def test_errors_are_what_they_say():
    n = 400
    x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    exact, u = torch.cos(np.pi * x)[None, None], (torch.cos(np.pi * x) + 0.1 * torch.cos(3 * np.pi * x))[None, None]
    assert relative_l2(u, exact).item() == pytest.approx(0.1, rel=1e-4)
    h1 = 0.1 * np.sqrt((1 + 9 * np.pi**2) / (1 + np.pi**2))
    assert relative_h1(u, exact).item() == pytest.approx(h1, rel=1e-3)
    wave = torch.cos(2 * np.pi * x)[None, None]
    high = torch.cos(2 * np.pi * 3 * x)[None, None]
    fourier = LOSSES["fourier"]
    assert fourier(wave + 0.1 * high, wave).item() == pytest.approx(0.1 * np.sqrt(10 / 2), rel=1e-6)
    assert fourier(wave + torch.cos(2 * np.pi * 20 * x), wave).item() == pytest.approx(0, abs=1e-6)
    v = torch.randn(3, 2, 8, 6, dtype=torch.float64)
    assert spectrum(v).sum().item() == pytest.approx(v.square().mean((2, 3)).sum(1).mean().item())


@pytest.mark.parametrize("how", ["pointwise", "scalar", "none"])
def test_normalisation(how):
    v = 3 + 2 * torch.randn(500, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    sides = symmetries((4, 4))
    mean, std = moments(v, how, sides)
    assert mean.shape == std.shape == ((1, 2, 4, 4) if how == "pointwise" else (1, 2, 1, 1))
    assert all(torch.allclose(turned(mean.expand(1, 2, 4, 4), side), mean.expand(1, 2, 4, 4)) for side in sides)
    if how != "none":
        w = (v - mean) / std
        assert abs(w.mean()) < 0.01
        assert abs(w.std() - 1) < 0.01
    model = Normalised(nn.Identity(), (mean, std), (mean, std))
    torch.testing.assert_close(model(v), v)
    finer = torch.randn(1, 2, 8, 8)
    torch.testing.assert_close(model(finer), finer)


def test_what_does_not_vary_is_not_divided_by_zero():
    v = torch.ones(5, 1, 8)
    v[:, :, 4:] = torch.randn(5, 1, 4)
    for values in (v, torch.ones(5, 1, 8)):
        mean, std = moments(values, "pointwise", symmetries((8,))[:1])
        assert ((values - mean) / std).isfinite().all()


def test_normalisation_between_grids_is_linear():
    x = ((torch.arange(8) + 0.5) / 8)[None, None]
    fine = ((torch.arange(16) + 0.5) / 16)[None, None]
    torch.testing.assert_close(on_grid(x, torch.Size([16]))[..., 1:-1], fine[..., 1:-1])


def test_evaluate_and_predict_agree_with_the_run(run, data):
    last = data[54:]
    assert evaluate(run.directory, last).error == pytest.approx(run.error, rel=1e-5)
    u = predict(run.directory, last.f)
    assert u.dtype == np.float32
    error = np.linalg.norm(u - last.u, axis=1) / np.linalg.norm(last.u, axis=1)
    assert error.mean() == pytest.approx(run.error, rel=1e-4)
    tensor = predict(run.directory / "model.safetensors", torch.as_tensor(last.f[:, None]))
    assert tensor.shape == (6, 1, 16)
    np.testing.assert_allclose(tensor[:, 0].numpy(), u, rtol=1e-6, atol=1e-8)
    run.model.eval()
    torch.testing.assert_close(run.model(torch.as_tensor(last.f[:, None]).float()), tensor, rtol=1e-5, atol=1e-7)


def test_other_grids(run, tmp_path):
    finer = poisson(8, 32, ndim=1, alpha=3.0, seed=5)
    metrics = evaluate(run.directory, save(finer, tmp_path / "finer.npz"))
    assert metrics.grid == (32,)
    assert metrics.samples == 8
    each = [evaluate(run.directory, finer[k : k + 1]).error for k in range(8)]
    assert (metrics.error, metrics.median, metrics.worst) == pytest.approx((np.mean(each), np.median(each), max(each)))
    assert metrics.data_error == pytest.approx(finer.error.mean())
    evaluate(run.directory, poisson(2, 32, ndim=1, reference=0)).save(tmp_path / "metrics.json")
    assert json.loads((tmp_path / "metrics.json").read_text(), parse_constant=pytest.fail)["data_error"] is None
    assert np.isnan(read_metrics(tmp_path, metrics_of).data_error)
    assert predict(run.directory, finer.f).shape == (8, 32)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_export(run, data, tmp_path, suffix):
    path = export(run.directory, tmp_path / f"model{suffix}", grid=(20,))
    x = torch.randn(4, 1, 20)
    if suffix == ".onnx":
        session = pytest.importorskip("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
        u = torch.from_numpy(session.run(None, {"inputs": x.numpy()})[0])
    else:
        u = torch.export.load(path).module()(x)
    torch.testing.assert_close(u, predict(run.directory, x, grid="data"), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("form", "padding"), [("published", "reflecting"), ("multigrid", "periodic")])
def test_export_of_every_kind(tmp_path, form, padding):
    data = heat(12, 9)
    given = {"width": 2, "layers": 1, "grids": 3, "form": form, "padding": padding, "up": 3}
    run = train(data, epochs=1, out=tmp_path / "run", model=lambda: MgNO(**given), progress=False)
    assert export(run.directory, tmp_path / "model.onnx").exists()


@pytest.mark.parametrize(
    "samples",
    [heat(12, 9, ndim=1), poisson(12, 8, ndim=3, reference=0), darcy(12, 10, reference=0)],
    ids=["heat 1-D", "poisson 3-D", "darcy"],
)
def test_every_problem_is_learned_with_the_networks_of_its_kind(samples, tmp_path):
    network = network_for(samples)
    assert network.ndim == samples.ndim
    assert network.padding == ("reflecting" if samples.settings["problem"] == "heat" else "zero",) * samples.ndim
    recipe = replace(SHORT, epochs=1, loss="h1", inputs="pointwise", outputs="scalar")
    run = train(samples, out=tmp_path / "run", recipe=recipe, progress=False)
    assert run.error == pytest.approx(evaluate(run.directory, samples[11:]).error, rel=1e-4)


def test_the_published_recipe_runs(tmp_path):
    run = train(darcy(12, 17), epochs=1, out=tmp_path / "run", recipe=preset("paper"), progress=False)
    assert np.isnan(run.history[-1]["validation_error"])
    assert run.history[-1]["learning_rate"] == pytest.approx(5e-4)  # of one step, in the middle of one epoch


def test_any_network_can_be_learned(tmp_path, data):
    def make():
        return nn.Conv1d(1, 1, 3, padding=1)

    run = train(data, epochs=2, out=tmp_path / "run", model=make, progress=False)
    assert evaluate(make, data[54:], start=run.directory).error == pytest.approx(run.error, rel=1e-5)
    assert predict(make, data.f, start=run.directory).shape == (60, 16)
    assert evaluate(run, data[54:]).error == pytest.approx(run.error, rel=1e-5)
    with pytest.raises(ValueError, match="`model` must be what made the network, a Conv1d, and `start` this"):
        evaluate(run.directory, data)
    with pytest.raises(ValueError, match="checkpoint of another architecture"):
        evaluate(lambda: nn.Conv1d(1, 1, 5, padding=2), data, start=run.directory)
    with pytest.raises(ValueError, match="`start` must be the checkpoint of a model of your own"):
        evaluate(make, data)
    with pytest.raises(TypeError, match="`model` must be a run, its folder"):
        evaluate(5, data)


def test_functions_of_several_channels(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 2, 8, 8))
    both = Samples(x, np.stack([x[:, 0] + x[:, 1], x[:, 0], x[:, 1]], axis=1), np.full(20, np.nan))
    run = train(both, epochs=1, out=tmp_path / "run", progress=False)
    assert run.model.network.arguments["in_channels"] == 2
    assert predict(run.directory, x).shape == (20, 3, 8, 8)


def test_a_loss_that_is_not_finite_stops(tmp_path, data):
    huge = replace(SHORT, lr=1e30, warmup=0.0)
    with pytest.raises(Diverged, match="the loss is not finite"):
        train(data, out=tmp_path / "run", recipe=huge, model=small, progress=False)


def test_resume_needs_the_same_run(tmp_path, data):
    given = {"recipe": replace(SHORT, epochs=1), "out": tmp_path / "run", "progress": False}
    train(data, model=small, **given)
    with pytest.raises(FileExistsError, match="holds a run"):
        train(data, model=small, **given)
    with pytest.raises(ValueError, match="`resume` needs the configuration the run began with, or more epochs; model"):
        train(data, model=lambda: MgNO(width=5, layers=2, grids=3, ndim=1), resume=True, **given)
    with pytest.raises(
        ValueError, match="`resume` needs the configuration the run began with, or more epochs; samples"
    ):
        train(poisson(60, 16, ndim=1, seed=9), model=small, resume=True, **given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"data": np.ones((4, 8))}, TypeError, "`data` must be Samples or a file of them; it is ndarray"),
        ({"data": "nothing.npz"}, FileNotFoundError, "there is no file nothing.npz"),
        ({"model": MgNO(width=2, grids=3, ndim=1)}, TypeError, "`model` must make a network"),
        ({"model": lambda: 3}, TypeError, "`model` must make a torch.nn.Module; it made a int"),
        (
            {"model": lambda: MgNO(width=2, grids=3)},
            ValueError,
            r"`x` must be \(N, 1, x, y\); its shape is \(1, 1, 16\)",
        ),
        ({"model": lambda: MgNO(2, width=2, grids=3, ndim=1)}, ValueError, r"`x` must be \(N, 2, x\)"),
        ({"model": lambda: MgNO(1, 2, width=2, grids=3, ndim=1)}, ValueError, r"`model` must give \(1, 16\)"),
        ({"model": lambda: MgNO(width=2, grids=7, ndim=1)}, ValueError, "must have 33 points or more"),
        ({"model": lambda: nn.Linear(3, 3)}, ValueError, r"this one does not take \(1, 1, 16\)"),
        ({"recipe": "fast"}, TypeError, "`recipe` must be a mgnet.operators.recipe.Recipe"),
        ({"test": poisson(5, 32, ndim=1)}, ValueError, "`test` must lie on the grid of `data`"),
        ({"data": poisson(5, 16, ndim=1)}, ValueError, "`test` must be given where there are fewer than 10"),
        ({"device": "gpu"}, ValueError, "`device` must be"),
        ({"epochs": 0}, ValueError, "`epochs` must be a whole number of at least 1"),
    ],
)
def test_wrong_arguments_are_named(given, error, message, data, tmp_path):
    with pytest.raises(error, match=message):
        train(**({"data": data, "out": tmp_path / "run", "progress": False} | given))


def test_samples_that_are_not_finite_are_refused(tmp_path, data):
    broken = replace(data, outputs=np.where(data.u == data.u.max(), np.nan, data.u))
    with pytest.raises(ValueError, match="`outputs` of `data` must be finite; it is not, first at"):
        train(broken, out=tmp_path / "run", progress=False)


def test_samples_of_which_no_error_is_relative(run, tmp_path, data):
    nothing = replace(data, outputs=np.where(np.arange(60)[:, None] == 7, 0, data.u))
    for refused in (lambda: train(nothing, out=tmp_path / "run"), lambda: evaluate(run, nothing)):
        with pytest.raises(ValueError, match=r"`outputs` of `data` must not be zero .* first of number 7"):
            refused()
    save(nothing, tmp_path / "nothing.npz")
    with pytest.raises(ValueError, match="must not be zero everywhere"):
        evaluate(run, tmp_path / "nothing.npz")
    broken = replace(data, inputs=np.where(data.f == data.f.max(), np.nan, data.f))
    with pytest.raises(ValueError, match="must be finite"):
        evaluate(run, save(broken, tmp_path / "broken.npz"))
    with pytest.raises(ValueError, match="`inputs` of `data` must be real numbers; they are complex128"):
        train(replace(data, inputs=data.f + 0j), out=tmp_path / "run")
    for wrong in (data.f + 0j, data.f[:0], data.f[:, :0]):
        with pytest.raises(ValueError, match="`inputs` must be plain real functions, one at least"):
            predict(run, wrong)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("inputs", "outputs"), [(1e40, 1.0), (1.0, 1e40), (1.0, 1e-40)], ids=str)
def test_units_that_float32_has_no_numbers_for(run, data, inputs, outputs, tmp_path):
    other = Samples(inputs * data.f, outputs * data.u, data.error, ndim=1)
    for use in (
        lambda: evaluate(run.directory, other),
        lambda: train(other, out=tmp_path / "run", model=small, progress=False),
    ):
        with pytest.raises(ValueError, match=r"[Uu]se other units"):
            use()


@pytest.mark.parametrize(
    "view", [lambda v: v[::-1].copy()[::-1], lambda v: v.astype(">f8")], ids=["reversed", "swapped"]
)
def test_any_memory_layout(run, data, view):
    np.testing.assert_array_equal(predict(run.directory, view(data.f)), predict(run.directory, data.f))
    there = evaluate(run.directory, Samples(view(data.f), view(data.u), data.error, ndim=1))
    assert there == evaluate(run.directory, Samples(data.f, data.u, data.error, ndim=1))


def test_arrays_that_are_none_are_refused(run, data):
    """A masked array's numbers under the mask mean nothing."""
    masked = np.ma.masked_array(data.f, data.f > 0)
    with pytest.raises(ValueError, match=r"`inputs` must be plain real functions, .* a MaskedArray"):
        predict(run.directory, masked)
    for v in (masked, torch.as_tensor(data.f)):
        with pytest.raises(TypeError, match=f"must be a plain numpy array; it is a {type(v).__name__}"):
            evaluate(run.directory, Samples(v, data.u, data.error, ndim=1))


@pytest.mark.parametrize("text", ["", "[]", "{}"])
def test_damaged_metrics_are_named(data, tmp_path, text):
    given = {"recipe": replace(SHORT, epochs=1), "out": tmp_path / "run", "model": small, "progress": False}
    first = train(data, **given)
    (tmp_path / "run" / "metrics.json").write_text(text)
    with pytest.raises(ValueError, match=r"metrics.json is damaged: .* Remove it and resume"):
        train(data, resume=True, **given)
    (tmp_path / "run" / "metrics.json").unlink()
    assert train(data, resume=True, **given).error == first.error


def test_samples_to_test_on_have_the_same_channels(tmp_path, data):
    two = replace(data, inputs=np.stack([data.f, data.f], 1))
    with pytest.raises(ValueError, match=r"`test` must have the channels of `data`, \[1, 1\] .*; it has \[2, 1\]"):
        train(data, two, out=tmp_path / "run", progress=False)


@pytest.mark.parametrize("unit", [2.0**-100, 2.0**-70, 2.0**70])
def test_errors_do_not_depend_on_the_unit(unit):
    """Squares of numbers such as 1e-22 are none in single precision."""
    u, exact = torch.rand(2, 3, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    for loss in LOSSES.values():
        assert torch.equal(loss(unit * u, unit * exact), loss(u, exact))


@pytest.mark.parametrize("how", ["scalar", "pointwise"])
def test_each_channel_is_normalised_by_itself(how):
    v = torch.rand(20, 2, 8, generator=torch.Generator().manual_seed(0)) + 0.5
    units = torch.tensor([1e-12, 1e5])[:, None]
    mean, std = moments(v * units, how, symmetries((8,))[:1])
    torch.testing.assert_close(mean / units, moments(v, how, symmetries((8,))[:1])[0])
    torch.testing.assert_close(std / units, moments(v, how, symmetries((8,))[:1])[1])


class Flat(nn.Module):
    """As tutorials write it: `view` after a convolution."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(256, 64)

    def forward(self, x):
        return self.head(self.conv(x).view(len(x), -1)).view(x.shape)


def test_a_network_that_says_view(tmp_path):
    data = poisson(20, 8, reference=0)
    assert train(data, epochs=1, out=tmp_path / "run", model=Flat, progress=False).error > 0


def test_checkpoints_and_data_that_do_not_fit(run, tmp_path, data):
    with pytest.raises(ValueError, match="it was trained for axes 1, these have 2"):
        evaluate(run.directory, darcy(2, 16, reference=0))
    with pytest.raises(ValueError, match=r"`inputs` must be \(N, 1, \*grid\) with 1 grid axes"):
        predict(run.directory, np.ones((2, 3, 16)))
    with pytest.raises(ValueError, match="`inputs` must be finite"):
        predict(run.directory, np.full((2, 16), np.nan))
    with pytest.raises(TypeError, match="`inputs` must be a numpy array or a tensor"):
        predict(run.directory, [[1.0]])
    with pytest.raises(ValueError, match="must have 3 points or more"):
        predict(run.directory, np.ones((2, 2)), grid="data")
    with pytest.raises(FileNotFoundError, match=r"a run's folder or a \.safetensors file"):
        evaluate(tmp_path, data)
    with pytest.raises(ValueError, match="`grid` must have 1 axes"):
        export(run.directory, tmp_path / "model.onnx", grid=(16, 16))
    with pytest.raises(ValueError, match=r"`path` must end in \.onnx or \.pt2"):
        export(run.directory, tmp_path / "model.pt")
    damaged = tmp_path / "model.safetensors"
    damaged.write_bytes((run.directory / "model.safetensors").read_bytes()[:100])
    with pytest.raises(ValueError, match="is damaged"):
        evaluate(damaged, data)


def test_a_file_of_samples_is_as_good_as_samples(run, data, tmp_path):
    path = save(data, tmp_path / "data.npz")
    again = train(
        path,
        out=tmp_path / "run",
        recipe=replace(SHORT, epochs=4, schedule="step", step_epochs=2),
        model=small,
        progress=False,
    )
    assert again.history[0]["train_loss"] == run.history[0]["train_loss"]
    assert load(path).hash == data.hash


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_default_dtype_changes_nothing(dtype, run, data, tmp_path):
    want, error = predict(run.directory, data.f), evaluate(run.directory, data).error
    torch.set_default_dtype(dtype)
    try:
        np.testing.assert_array_equal(predict(run.directory, data.f), want)
        assert evaluate(run.directory, data).error == error
        assert export(run.directory, tmp_path / "m.onnx").exists()
        assert train(data, epochs=1, out=tmp_path / "run", model=small, progress=False).error < 2
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode], ids=["no_grad", "inference mode"])
def test_what_surrounds_a_call_changes_nothing(around, run, data, tmp_path):
    want = predict(run, data.inputs[:3])
    with around():
        again = train(data, out=tmp_path / "run", recipe=SHORT, model=small, progress=False)
        np.testing.assert_array_equal(predict(again, data.inputs[:3]), want)
    x = torch.ones(1, 1, 16, requires_grad=True)
    again.model(x).sum().backward()
    assert x.grad is not None


def test_what_is_not_finite_is_said(run, data):
    """Of the network of a run; nothing is written, and no number is said of it."""
    broken = replace(run, model=copy.deepcopy(run.model))
    with torch.no_grad():
        next(broken.model.parameters()).fill_(torch.nan)
    with pytest.raises(Diverged, match="output is not finite"):
        predict(broken, data.inputs[:3])
    with pytest.raises(Diverged, match="output is not finite"):
        evaluate(broken, data)


def test_a_prediction_has_no_gradient_and_says_so(run, data):
    x = torch.as_tensor(data.inputs[:2]).requires_grad_()
    with pytest.raises(TypeError, match="`inputs` asks for a gradient"):
        predict(run, x)
    with torch.no_grad():
        assert predict(run, x).shape == x.shape
