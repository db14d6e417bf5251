"""The commands for classifiers: a run from training to prediction, and one clear line for every wrong argument."""

import csv
import json
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image

import mgnet
from mgnet.cli import main

SMALL = ["--model", "MgNet[1,1]-8-B^l", "--epochs", "2"]


@pytest.fixture
def inside(tmp_path, monkeypatch):
    """Commands run in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", *SMALL, "--seed", "3", "--out", str(out), "--device", "cpu", "--set", "lr=0.05"]) == 0
    return out


@pytest.fixture(autouse=True)
def few_plots(monkeypatch):
    """Drawing takes three quarters of a tiny training; that of `trained` has its plots."""
    monkeypatch.setattr("mgnet.vision.training.Classification.illustrate", lambda self, run: None)


def printed_table(capsys) -> dict[str, float]:
    """Shares are printed in per cent."""
    table = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert all(re.fullmatch(r"\d+\.\d\d%", value) for name, value in table.items() if "accuracy" in name)
    return {name: float(v.rstrip("%")) / (100 if v.endswith("%") else 1) for name, v in table.items()}


def test_train_does_what_the_function_does(trained, tmp_path):
    recipe = mgnet.vision.preset("fast")
    run = mgnet.vision.train(
        "MgNet[1,1]-8-B^l",
        "digits",
        epochs=2,
        seed=3,
        out=tmp_path / "other",
        recipe=type(recipe)(**{**vars(recipe), "lr": 0.05}),
        progress=False,
        device="cpu",
    )
    history = mgnet.vision.read_history(trained)
    assert [row["train_loss"] for row in history] == [row["train_loss"] for row in run.history]
    config = json.loads((trained / "config.json").read_text())
    assert (config["model"], config["seed"], config["epochs"], config["lr"]) == ("MgNet[1,1]-8-B^l", 3, 2, 0.05)


def test_resume_goes_on_in_a_folder_that_train_refuses(trained, capsys):
    arguments = ["train", *SMALL, "--seed", "3", "--out", str(trained), "--device", "cpu", "--set", "lr=0.05"]
    assert main(arguments) == 2
    assert "resume" in capsys.readouterr().err
    assert main([*arguments, "--resume"]) == 0
    assert f"the run lies in {trained}" in capsys.readouterr().out


def test_seeds_give_a_mean_and_a_spread(inside, capsys):
    assert main(["train", *SMALL, "--epochs", "1", "--seed", "4", "--seeds", "2", "--out", "sweep"]) == 0
    assert "over 2 seeds" in capsys.readouterr().out
    assert {path.name for path in (inside / "sweep").iterdir()} == {"seed4", "seed5", "seeds.csv"}


def test_evaluate_prints_and_writes_what_was_measured(trained, inside, capsys):
    assert main(["evaluate", str(trained), "--out", "metrics.json", "--flip"]) == 0
    shown, written = printed_table(capsys), json.loads((inside / "metrics.json").read_text())
    assert shown["images"] == written["images"] == 360
    assert shown["accuracy"] == pytest.approx(written["accuracy"], abs=6e-5)
    assert "flipped_accuracy" in shown
    assert main(["evaluate", str(trained), "--split", "validation"]) == 0
    assert printed_table(capsys)["images"] < 360


def test_predict_names_each_image(trained, inside, capsys):
    pixels = mgnet.vision.load("digits").test.pixels[:3]
    (inside / "digits").mkdir()
    for i, image in enumerate(pixels):
        Image.fromarray(image[0].numpy()).save(inside / "digits" / f"{i}.png")
    expected = mgnet.vision.predict(trained, pixels)
    assert main(["predict", str(trained), "digits", "--out", "predictions.csv"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [name for _, name, _ in lines] == expected.names
    shares = [float(p.removesuffix("%")) / 100 for *_, p in lines]
    np.testing.assert_allclose(shares, expected.probabilities.amax(1), atol=6e-5)
    rows = list(csv.reader((inside / "predictions.csv").open()))
    assert [row[1] for row in rows[1:]] == expected.names
    assert main(["predict", str(trained), "digits/2.png", "digits/0.png"]) == 0
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == [expected.names[i] for i in (2, 0)]


def test_predict_goes_on_after_a_file_that_is_no_image(trained, inside, capsys):
    for i, image in enumerate(mgnet.vision.load("digits").test.pixels[:2]):
        Image.fromarray(image[0].numpy()).save(inside / f"{i}.png")
    (inside / "1.png").rename(inside / "2.png")
    (inside / "1.png").write_bytes(b"text")
    assert main(["predict", str(trained), ".", "--out", "predictions.csv"]) == 1
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()] == ["0.png", "2.png"]
    assert [line.split()[:2] for line in said.err.splitlines()] == [["mgnet:", "1.png"]]
    assert len((inside / "predictions.csv").read_text().splitlines()) == 3


def test_export_writes_the_file(trained, inside, capsys):
    assert main(["export", str(trained), "model.pt2"]) == 0
    assert capsys.readouterr().out == "wrote model.pt2\n"
    images = torch.rand(3, 1, 8, 8)
    exported = torch.export.load(inside / "model.pt2").module()(images)
    torch.testing.assert_close(exported, mgnet.vision.predict(trained, images).probabilities, rtol=0, atol=1e-5)


def test_a_missing_extra_is_named(trained, inside, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["export", "no such run", "model.onnx"]) == 2
    assert 'exporting ONNX needs onnxruntime; in a clone of mgnet: python -m pip install ".[export]"' in (
        capsys.readouterr().err
    )
    assert list(inside.iterdir()) == []


def test_summary_counts_parameters(capsys):
    assert main(["summary", "MgNet[2,2,2,2]-256-B^l"]) == 0
    assert "8,278,794" in capsys.readouterr().out


WRONG = [
    (["train", "--model", "MgNet[2,2]-8-C^l"], "C^l"),
    (["train", "--model", "resnet19"], "resnet19"),
    (["train", "--dataset", "digts"], "digts"),
    (["train", "--dataset", "cifar10", "--data", "nowhere"], "nowhere"),
    (["train", "--epochs", "0"], "epochs"),
    (["train", "--seeds", "0"], "seeds"),
    (["train", "--recipe", "slow"], "recipe"),
    (["train", "--set", "learning=3"], "learning"),
    (["train", "--set", "lr=-1"], "lr"),
    (["train", "--set", "batch_size=2.5"], "batch_size"),
    (["train", "--set", "nesterov=maybe"], "nesterov"),
    (["train", "--device", "abacus"], "device"),
    (["train", "--out", "file/below"], "file"),
    (["evaluate", "nowhere"], "nowhere"),
    (["evaluate", "damaged.safetensors"], "damaged.safetensors"),
    (["predict", "nowhere", "x.png"], "nowhere"),
    (["predict"], "Missing argument"),
    (["export", "nowhere", "model.onnx"], "nowhere"),
    (["export", "nowhere", "model.txt"], "model.txt"),
    (["export", "nowhere", "file/model.onnx"], "file"),
    (["summary", "MgNet[2,2]"], "MgNet[2,2]"),
    (["summary", "MgNet[2,2]-8-B^l", "--num-classes", "0"], "num_classes"),
]


@pytest.mark.parametrize(("arguments", "names"), WRONG, ids=lambda v: " ".join(v) if isinstance(v, list) else "")
def test_wrong_argument_gives_one_line_and_status_2(arguments, names, inside, capsys):
    (inside / "file").write_text("not a folder")
    (inside / "damaged.safetensors").write_bytes(b"\x08damaged")
    assert main(arguments) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("mgnet: ")
    assert names in lines[0]
    assert "Value error" not in lines[0]


def test_diverged_training_gives_status_1(inside, capsys):
    assert main(["train", *SMALL, "--set", "lr=1e30", "--set", "warmup=0", "--set", "clip=0"]) == 1
    assert "mgnet: the loss is not finite" in capsys.readouterr().err


def test_unwritable_out_is_found_before_the_work(inside, capsys, monkeypatch):
    (inside / "file").write_text("")
    monkeypatch.setattr(torch.nn.Module, "__call__", lambda *_: pytest.fail("worked first"))
    for command in (["evaluate", "run"], ["predict", "run", "x.png"]):
        assert main([*command, "--out", "file/below.csv"]) == 2
        assert "file" in capsys.readouterr().err
