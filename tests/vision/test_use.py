"""What one does with a trained network: evaluate, predict, export, look at it."""

import csv
import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

import mgnet
from mgnet.cli import main
from mgnet.training.process import Process
from mgnet.training.runs import read_metrics
from mgnet.training.weights import read_tensors
from mgnet.vision import Diverged, Recipe, Run, evaluate, export, load, predict
from mgnet.vision.batches import Normaliser
from mgnet.vision.evaluation import Tally, measure
from mgnet.vision.images import Images
from mgnet.vision.metrics import Metrics
from mgnet.vision.runs import metrics_of
from mgnet.vision.weights import load_weights, save_weights
from tests.vision.samples import write_cifar10, write_folder

CPU = Process(0, 1, torch.device("cpu"))


def test_evaluate_repeats_the_test_of_the_run(run: Run) -> None:
    assert evaluate(run.directory) == run.metrics
    assert evaluate(run.directory / "model.safetensors", "digits") == run.metrics


def test_a_default_device_changes_nothing(run: Run, tmp_path: Path) -> None:
    """The device "meta" stands for any: it shows what is made without saying where."""
    images, recipe = load("digits").test.pixels[:3], Recipe(epochs=2, batch_size=64, precision="float32", warmup=0.5)
    want = predict(run.directory, images, device="cpu").probabilities
    with torch.device("meta"):
        assert evaluate(run.directory, device="cpu") == run.metrics
        assert torch.equal(predict(run.directory, images, device="cpu").probabilities, want)
        assert export(run.directory, tmp_path / "net.pt2").exists()
        mgnet.vision.train(
            "MgNet[1,1]-8-B^l", seed=3, out=tmp_path / "run", recipe=recipe, progress=False, device="cpu"
        )
    assert evaluate(tmp_path / "run", device="cpu") == run.metrics


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_default_dtype_changes_nothing(dtype: torch.dtype, run: Run, tmp_path: Path) -> None:
    images, recipe = load("digits").test.pixels[:3], Recipe(epochs=2, batch_size=64, precision="float32", warmup=0.5)
    want = predict(run.directory, images, device="cpu").probabilities
    torch.set_default_dtype(dtype)
    try:
        assert evaluate(run.directory, device="cpu") == run.metrics
        assert torch.equal(predict(run.directory, images, device="cpu").probabilities, want)
        assert export(run.directory, tmp_path / "net.onnx").exists()
        again = mgnet.vision.train(
            "MgNet[1,1]-8-B^l", seed=3, out=tmp_path / "run", recipe=recipe, progress=False, device="cpu"
        )
        assert torch.get_default_dtype() == dtype
    finally:
        torch.set_default_dtype(torch.float32)
    assert again.metrics == run.metrics


AROUND = {
    "no_grad": torch.no_grad,
    "inference mode": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("around", AROUND)
def test_what_surrounds_a_call_changes_nothing(around: str, run: Run, tmp_path: Path) -> None:
    images, recipe = load("digits").test.pixels[:3], Recipe(epochs=2, batch_size=64, precision="float32", warmup=0.5)
    want = predict(run.directory, images, device="cpu").probabilities
    with AROUND[around]():
        assert evaluate(run.directory, device="cpu") == run.metrics
        assert torch.equal(predict(run.directory, images, device="cpu").probabilities, want)
        assert export(run.directory, tmp_path / "net.pt2").exists()
        network = mgnet.vision.classifier(run.directory)
        again = mgnet.vision.train(
            "MgNet[1,1]-8-B^l", seed=3, out=tmp_path / "run", recipe=recipe, progress=False, device="cpu"
        )
    assert again.metrics == run.metrics
    network(images / 255).sum().backward()


def test_numbers_of_numpy_are_numbers(run: Run, tmp_path: Path) -> None:
    n = np.int64
    assert evaluate(run.directory, batch_size=n(50), workers=n(0), flip=np.bool_(True)).accuracy == run.accuracy
    again = mgnet.vision.train(
        "MgNet[1,1]-8-B^l", epochs=n(1), seed=n(3), out=tmp_path / "run", start=run, freeze=n(1), checkpoint_every=n(9),
        workers=n(0), progress=False, device="cpu",
    )  # fmt: skip
    assert len(again.history) == 1


def test_a_network_that_says_no_numbers(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """It says so wherever it is asked, by one line on a command line, and names no class."""
    network, card = load_weights(run.directory / "model.safetensors")
    with torch.no_grad():
        network.head.weight.fill_(torch.nan)
    path = tmp_path / "nan.safetensors"
    save_weights(path, network, card)
    images = load("digits").test.pixels[:3]
    with pytest.raises(Diverged, match="output is not finite"):
        predict(path, images)
    with pytest.raises(FloatingPointError, match="not finite"):
        export(path, tmp_path / "net.pt2")
    assert not (tmp_path / "net.pt2").exists()
    Image.fromarray(images[0, 0].numpy()).save(tmp_path / "0.png")
    for command in (["predict", str(path), str(tmp_path / "0.png")], ["evaluate", str(path)]):
        assert main(command) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert err.startswith("mgnet: the network's output is not finite")


def test_a_prediction_has_no_gradient_and_says_so(run: Run) -> None:
    images = torch.rand(2, 1, 8, 8, requires_grad=True)
    with pytest.raises(TypeError, match="`images` asks for a gradient"):
        predict(run.directory, images)
    with torch.no_grad():
        assert len(predict(run.directory, images).names) == 2


def test_validation_is_the_part_the_run_held_out(run: Run) -> None:
    metrics = evaluate(run.directory, split="validation")
    assert metrics.accuracy == pytest.approx(run.history[-1]["validation_accuracy"])
    assert metrics.images == 144


def test_flips_are_reported_apart(run: Run) -> None:
    metrics = evaluate(run.directory, flip=True)
    assert metrics.accuracy == run.accuracy
    assert metrics.flipped_accuracy is not None
    assert 0 < metrics.flipped_accuracy < 1


def test_metrics_of_known_logits() -> None:
    """Four images, three classes; right, right, wrong, wrong with confidences .5, .9, .9, .5."""
    p = torch.tensor([[0.5, 0.3, 0.2], [0.05, 0.9, 0.05], [0.9, 0.06, 0.04], [0.5, 0.1, 0.4]])
    labels = torch.tensor([0, 1, 1, 2])
    tally = Tally(3, CPU.device)
    tally.add(p.log(), labels, None)
    metrics = tally.metrics(("a", "b", "c"), CPU, flip=False)
    assert (metrics.images, metrics.accuracy, metrics.top5, metrics.flipped_accuracy) == (4, 0.5, 1.0, None)
    assert metrics.per_class == {"a": 1.0, "b": 0.5, "c": 0.0}
    assert metrics.confusion == ((1, 0, 0), (1, 1, 0), (1, 0, 0))
    assert metrics.loss == pytest.approx(-sum(math.log(q) for q in (0.5, 0.9, 0.06, 0.4)) / 4)
    assert metrics.calibration_error == pytest.approx((abs(1 - 1.0) + abs(1 - 1.8)) / 4, abs=1e-6)


def test_the_first_five_are_five() -> None:
    """Seven classes in falling order: the true one comes fourth, fifth, sixth; of three classes all are among five."""
    logits = torch.arange(7.0).flip(0).expand(3, 7)
    tally = Tally(7, CPU.device)
    tally.add(logits, torch.tensor([3, 4, 5]), None)
    assert tally.metrics(tuple("abcdefg"), CPU, flip=False).top5 == pytest.approx(2 / 3)


def test_complete_confidence_is_counted() -> None:
    """A softmax in float32 is 1 exactly from a margin of 17 on."""
    tally = Tally(2, CPU.device)
    tally.add(torch.tensor([[100.0, 0.0], [0.0, 100.0]]), torch.tensor([0, 0]), None)
    assert tally.metrics(("a", "b"), CPU, flip=False).calibration_error == pytest.approx(0.5)


class FirstPixels(nn.Module):
    """Logits are the first row of the image."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, 0]


def test_mirrored_logits_are_averaged() -> None:
    """Rows 200 150 0 are class 0, and their mean with 0 150 200 is class 1."""
    row = torch.tensor([200, 150, 0], dtype=torch.uint8)
    images, normalise = (
        Images(row.expand(5, 1, 1, 3).clone(), torch.ones(5, dtype=torch.long)),
        Normaliser([0.0], [1.0], CPU.device),
    )
    model, seen = FirstPixels(), []
    model.register_forward_hook(lambda *_: seen.append(torch.is_grad_enabled()))
    metrics = measure(model, images, (1, 3), ("a", "b", "c"), normalise, CPU, flip=True, batch_size=2)
    assert (metrics.accuracy, metrics.flipped_accuracy, metrics.images) == (0.0, 1.0, 5)
    assert seen == [False] * 6  # three batches, as they are and mirrored


def test_several_processes_count_each_image_once() -> None:
    images = Images(torch.randint(0, 256, (1003, 1, 8, 8), dtype=torch.uint8), torch.randint(0, 8, (1003,)))
    normalise, names = Normaliser([0.0], [1.0], CPU.device), tuple("abcdefgh")

    class Part(Process):
        def total(self, counts: torch.Tensor) -> torch.Tensor:
            return counts  # each process on its own; the sums are added below

    whole = measure(FirstPixels(), images, (8, 8), names, normalise, CPU)
    parts = [measure(FirstPixels(), images, (8, 8), names, normalise, Part(rank, 3, CPU.device)) for rank in range(3)]
    assert sum(part.images for part in parts) == whole.images == 1003
    assert sum(round(part.accuracy * part.images) for part in parts) == round(whole.accuracy * 1003)


def test_metrics_are_json(run: Run, tmp_path: Path) -> None:
    run.metrics.save(tmp_path / "metrics.json")
    assert json.loads((tmp_path / "metrics.json").read_text())["accuracy"] == run.accuracy


def test_files_of_any_name(run: Run, tmp_path: Path) -> None:
    """Their names are bytes; a table of predictions has them as they are."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    names = sorted([b"\xff bad.png", b"new\nline.png", "\u00fc.png".encode()])
    for name in names:
        Image.new("L", (8, 8)).save(folder / os.fsdecode(name))
    predict(run.directory, folder).write_csv(tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        assert sorted(os.fsencode(Path(row["image"]).name) for row in csv.DictReader(file)) == names
    command = [sys.executable, "-m", "mgnet", "predict", str(run.directory), str(folder)]
    said = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert b"\\udcff bad.png" in said.stdout
    assert b"new\\nline.png" in said.stdout
    assert len(said.stdout.splitlines()) == len(names)


def test_a_line_for_each_file_of_any_name(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Of predict, also of what cannot be read, and of check."""
    (tmp_path / "no\npicture\x1b.png").write_bytes(b"text")
    assert main(["predict", str(run.directory), str(tmp_path)]) == 1
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert r"no\npicture\x1b.png must be an image" in said.err
    assert main(["check", str(tmp_path)]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert r"no\npicture\x1b.png must be an image" in first
    assert second == "0 of 1 pictures can be read"


@pytest.mark.parametrize("name", ["rows", "confusion", '"confusion": []', "[]"])
def test_a_class_of_any_name_is_kept(tmp_path: Path, name: str) -> None:
    metrics = Metrics(3, 1.0, 1.0, 0.0, 0.0, {name: 1.0, "columns": 1.0}, ((1, 0), (0, 2)), 0.5)
    metrics.save(tmp_path / "metrics.json")
    assert read_metrics(tmp_path, metrics_of) == metrics


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "MgNet[9]-999999-B^l"},
        {"model": 3},
        {"in_channels": 10**9},
        {"in_channels": "1"},
        {"image_size": [8]},
        {"image_size": [8.0, 8.0]},
        {"classes": []},
        {"classes": list(range(10))},
        {"mean": [math.nan]},
        {"mean": [0.1] * 3},
        {"std": [0.0]},
        {"std": ["a"]},
        {"fit": "stretch"},
    ],
)
def test_a_file_that_lies_of_its_network(run: Run, tmp_path: Path, changes: dict) -> None:
    tensors, path = load_file(run.directory / "model.safetensors"), tmp_path / "model.safetensors"
    card = json.loads(read_tensors(run.directory / "model.safetensors", "mgnet.vision")[1])
    save_file(tensors, path, {"mgnet.vision": json.dumps(card | changes)})
    with pytest.raises(ValueError, match=r"is damaged: what it says|must fit the network"):
        predict(path, np.zeros((1, 8, 8)))
    save_file(tensors, path, {"mgnet.vision": "[" * 100_000})
    with pytest.raises(ValueError, match="is damaged"):
        predict(path, np.zeros((1, 8, 8)))


def test_predict_from_arrays(run: Run) -> None:
    test = load("digits").test
    assert isinstance(test, Images)
    bytes_ = predict(run.directory, test.pixels)
    real = predict(run.directory, test.pixels[:, 0].numpy() / 255)
    assert (bytes_.labels == test.labels).double().mean().item() == pytest.approx(run.accuracy)
    torch.testing.assert_close(bytes_.probabilities, real.probabilities)
    torch.testing.assert_close(bytes_.probabilities.sum(1), torch.ones(360))


def test_predict_from_files_and_folders(run: Run, tmp_path: Path) -> None:
    test = load("digits").test
    assert isinstance(test, Images)
    for i in range(3):
        Image.fromarray(test.pixels[i, 0].numpy()).save(tmp_path / f"{i}.png")
    arrays = predict(run.directory, test.pixels[:3])
    for images in (tmp_path, str(tmp_path), [tmp_path / f"{i}.png" for i in range(3)]):
        files = predict(run.directory, images)
        assert torch.equal(files.probabilities, arrays.probabilities)
        assert [Path(name).name for name in files.images] == ["0.png", "1.png", "2.png"]
    assert len(predict(run.directory, tmp_path / "0.png")) == 1


def test_predict_resizes_and_converts(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (50, 31)).save(tmp_path / "large.png")
    assert predict(run.directory, tmp_path).probabilities.shape == (1, 10)


def test_predictions_as_csv(run: Run, tmp_path: Path) -> None:
    predictions = predict(run.directory, torch.zeros(2, 8, 8))
    predictions.write_csv(tmp_path / "predictions.csv")
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == ["0", "1"]
    assert rows[0]["class"] == predictions.names[0]
    assert sum(float(rows[0][name]) for name in predictions.classes) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("images", "error", "says"),
    [
        (torch.zeros(2, 3, 8, 8), ValueError, "must have shape (N, 1, 8, 8); it is (2, 3, 8, 8)"),
        (torch.zeros(0, 1, 8, 8), ValueError, "must have shape"),
        (torch.full((2, 8, 8), 200.0), ValueError, "must lie in [0, 1]; it spans [200, 200]"),
        (torch.full((2, 8, 8), float("nan")), ValueError, "must lie in [0, 1]"),
        (torch.zeros(2, 8, 8, dtype=torch.int32), TypeError, "uint8, or real"),
        ("nowhere.png", FileNotFoundError, "nowhere.png"),
        ([], ValueError, "the list is empty"),
    ],
)
def test_images_that_cannot_be_predicted(run: Run, images: object, error: type, says: str) -> None:
    with pytest.raises(error) as caught:
        predict(run.directory, images)
    assert "`images`" in str(caught.value)
    assert says in str(caught.value)


def test_a_file_that_is_no_image(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"text")
    with pytest.raises(ValueError, match=r"a\.png must be an image"):
        predict(run.directory, tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(FileNotFoundError, match="has none"):
        predict(run.directory, tmp_path)


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_links_that_lead_nowhere_are_listed(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """They were passed over: a picture that was moved away was missing without a word."""
    Image.new("L", (8, 8)).save(tmp_path / "b.png")
    (tmp_path / "a.png").symlink_to(tmp_path / "moved.png")
    assert main(["check", str(tmp_path)]) == 1
    out = capsys.readouterr().out.splitlines()
    assert "a.png must be an image" in out[0]
    assert out[1] == "1 of 2 pictures can be read"
    found = predict(run.directory, tmp_path, skip=True)
    assert [Path(image).name for image in found.images] == ["b.png"]
    assert "a.png must be an image" in found.skipped[0]


def test_files_that_cannot_be_read_are_left_out_and_listed(run: Run, tmp_path: Path) -> None:
    """In every batch, the first and the last file among them; and where no file can be read."""
    pixels = load("digits").test.pixels[:5]  # type: ignore[union-attr]
    for i, image in enumerate(pixels):
        Image.fromarray(image[0].numpy()).save(tmp_path / f"{i}.png")
    for i in (0, 3):
        (tmp_path / f"{i}.png").write_bytes(b"text")
    found = predict(run.directory, tmp_path, skip=True)
    assert [Path(name).name for name in found.images] == ["1.png", "2.png", "4.png"]
    assert torch.equal(found.probabilities, predict(run.directory, pixels[[1, 2, 4]]).probabilities)
    assert [line.partition(" must be an image")[0] for line in found.skipped] == [
        str(tmp_path / f"{i}.png") for i in (0, 3)
    ]
    none = predict(run.directory, [tmp_path / "0.png", tmp_path / "3.png"], skip=True)
    assert (len(none), none.probabilities.shape, len(none.skipped)) == (0, (0, 10), 2)


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_the_names_of_the_classes_are_kept_with_what_is_exported(run: Run, tmp_path: Path, suffix: str) -> None:
    if suffix == ".onnx":
        onnx = pytest.importorskip("onnx", reason="the extra `export` is not installed")
        pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
        properties = onnx.load(export(run.directory, tmp_path / "model.onnx")).metadata_props
        kept = {entry.key: entry.value for entry in properties}
    else:
        kept = {"classes": ""}
        torch.export.load(export(run.directory, tmp_path / "model.pt2"), extra_files=kept)
    assert json.loads(kept["classes"]) == list(map(str, range(10)))


def test_onnx_round_trip(run: Run, tmp_path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the extra `export` is not installed")
    pytest.importorskip("onnxscript", reason="the extra `export` is not installed")
    path = export(run.directory, tmp_path / "model.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]
    session = runtime.InferenceSession(path)
    images = np.random.default_rng(0).random((7, 1, 8, 8), dtype=np.float32)
    for n in (1, 7):
        (probabilities,) = session.run(None, {"images": images[:n]})
        np.testing.assert_allclose(probabilities, predict(run.directory, images[:n]).probabilities, atol=1e-4)


def test_program_round_trip(run: Run, tmp_path: Path) -> None:
    program = torch.export.load(export(run.directory, tmp_path / "model.pt2")).module()
    images = torch.rand(5, 1, 8, 8)
    for n in (1, 5):
        torch.testing.assert_close(program(images[:n]), predict(run.directory, images[:n]).probabilities)


@pytest.mark.parametrize(
    "notation", ["MgNet[2,2]-8-B-omega=0.5", "MgNet[1,2]-8-alpha_i B^l-Pi_2", "MgNet[2,2]-[(8,6),(6,8)]-B^l-Pi_0"]
)
def test_the_family_trains_saves_and_exports(tmp_path: Path, notation: str) -> None:
    recipe = mgnet.vision.Recipe(epochs=1, precision="float32")
    run = mgnet.vision.train(notation, out=tmp_path / "run", recipe=recipe, progress=False)
    assert evaluate(run.directory) == run.metrics
    assert export(run.directory, tmp_path / "model.pt2").exists()


def test_export_refuses_other_suffixes(run: Run, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`path` must end in \.onnx or \.pt2"):
        export(run.directory, tmp_path / "model.pt")


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "model.safetensors"):
        with pytest.raises(FileNotFoundError, match=r"`model` must be a run's folder or a \.safetensors file"):
            evaluate(path)


def test_a_damaged_checkpoint(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    whole = (run.directory / "model.safetensors").read_bytes()
    for content in (b"", b"nonsense", whole[:200], whole[:-40]):
        path.write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            predict(path, torch.zeros(1, 8, 8))


def test_a_checkpoint_of_another_kind(run: Run, tmp_path: Path) -> None:
    stored = load_file(run.directory / "model.safetensors")
    path = tmp_path / "model.safetensors"
    save_file(stored, path)
    with pytest.raises(ValueError, match="does not say which network"):
        evaluate(path)
    save_file(stored, path, {"mgnet.vision": json.dumps({"model": "resnet18"})})
    with pytest.raises(ValueError, match="what it says of its network cannot be read"):
        evaluate(path)


def test_a_checkpoint_of_another_architecture(run: Run, tmp_path: Path) -> None:
    _, card = load_weights(run.directory / "model.safetensors")
    stored = load_file(run.directory / "model.safetensors")
    path = tmp_path / "model.safetensors"
    for wrong in ("MgNet[2,1]-8-B^l", "MgNet[1,1]-16-B^l"):
        fields = {**card.__dict__, "model": wrong}
        save_file(stored, path, {"mgnet.vision": json.dumps(fields)})
        with pytest.raises(ValueError, match="checkpoint of another architecture"):
            evaluate(path)


def test_data_that_do_not_fit(run: Run, tmp_path: Path, rng: np.random.Generator) -> None:
    write_cifar10(tmp_path, rng)
    with pytest.raises(ValueError, match="trained for channels 1, cifar10 has 3"):
        evaluate(run.directory, "cifar10", tmp_path)
    write_folder(tmp_path / "pets", rng, mode="L", size=(8, 8))
    with pytest.raises(ValueError, match="knows no class 'cat', which pets has, but 0, 1, 2, 3, 4 and 5 more"):
        evaluate(run.directory, str(tmp_path / "pets"))
    with pytest.raises(ValueError, match="`split` must be test or validation"):
        evaluate(run.directory, split="train")


def test_an_interrupted_run_can_be_used(run: Run, tmp_path: Path) -> None:
    """Only checkpoints, no model.safetensors yet: the newest speaks."""
    shutil.copytree(run.directory / "checkpoints", tmp_path / "checkpoints")
    assert evaluate(tmp_path) == run.metrics


def test_feature_maps_need_an_mgnet(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="must be an MgNet"):
        mgnet.vision.plots.feature_maps(nn.Flatten(), torch.zeros(1, 8, 8), tmp_path / "maps.png")


def test_baselines_train_too(tmp_path: Path, rng: np.random.Generator, plots: None) -> None:
    root = write_folder(tmp_path / "pets", rng, size=(32, 32))
    recipe = mgnet.vision.Recipe(epochs=1, batch_size=8, precision="float32")
    run = mgnet.vision.train("alexnet", str(root), out=tmp_path / "run", recipe=recipe, progress=False)
    assert evaluate(run.directory) == run.metrics
    drawn = {path.name for path in (run.directory / "plots").iterdir()}
    assert drawn == {"learning_curves.png", "confusion_matrix.png"}
