"""Nothing goes wrong in silence, and nothing is found out after the work that could be found before it.

1  Data are who they are by the names of their classes and a hash, not by numbers.
2  What is wrong with data, with a network or with an installation is said before the first step.
3  A network that has diverged is said to have, and its checkpoint is not kept.
4  Evaluation takes what memory is asked of it; metrics grow with the classes, not with their square.
5  Two processes do not train in one folder; workers can be sent all they need.
6  A model is a module like others: functional calls, hooks, deep copies.
"""

import copy
import dataclasses
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from ast import Attribute, Call, Name, parse, walk
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import mgnet
from mgnet.files import write
from mgnet.training import loop, runs
from mgnet.training.checkpoints import all_checkpoints
from mgnet.training.learner import Learner
from mgnet.training.process import Process
from mgnet.training.watch import Diverged
from mgnet.vision import MgNet, Recipe, Run, evaluate, load, predict, train
from mgnet.vision.augment import per_image
from mgnet.vision.batches import Pictures
from mgnet.vision.evaluation import Tally
from mgnet.vision.images import Files, stratified
from mgnet.vision.plots import confusion_matrix
from tests.vision.conftest import QUICK, TINY
from tests.vision.samples import write_folder

CPU = Process(0, 1, torch.device("cpu"))
SMALL = dataclasses.replace(QUICK, batch_size=8, optimizer="sgd")


@pytest.fixture
def pets(tmp_path: Path, rng: np.random.Generator) -> Path:
    return write_folder(tmp_path / "pets", rng, classes=("cat", "dog", "fox"))


def trained(root: Path, out: Path, **changes: object) -> Run:
    options: dict = {"recipe": SMALL, "progress": False, **changes}
    return train(TINY, str(root), out=out, **options)


# 1


def test_a_network_is_not_measured_on_classes_it_does_not_know(
    pets: Path, tmp_path: Path, rng: np.random.Generator
) -> None:
    run = trained(pets, tmp_path / "run")
    insects = write_folder(tmp_path / "insects", rng, classes=("ant", "bee", "cow"))
    with pytest.raises(ValueError, match=r"`dataset` must fit .* knows no class 'ant', .* but cat, dog, fox"):
        evaluate(run.directory, str(insects))


def test_classes_are_matched_by_name(pets: Path, tmp_path: Path) -> None:
    """A folder that has two of the three classes, and hence other numbers for them."""
    run = trained(pets, tmp_path / "run", recipe=dataclasses.replace(SMALL, epochs=12))
    assert run.accuracy > 0.9
    two = shutil.copytree(pets, tmp_path / "two")
    for split in ("train", "test"):
        shutil.rmtree(two / split / "cat")
    found = evaluate(run.directory, str(two))
    assert found.accuracy > 0.9
    assert found.per_class.keys() == {"dog", "fox"}


@pytest.mark.parametrize("image_size", [None, 16])
def test_a_run_is_not_resumed_on_other_data(pets: Path, tmp_path: Path, image_size: int | None) -> None:
    trained(pets, tmp_path / "run", image_size=image_size)
    for change in ("added", "renamed", "replaced"):
        other = shutil.copytree(pets, tmp_path / change / "pets")
        if change == "renamed":
            for split in ("train", "test"):
                (other / split / "cat").rename(other / split / "gnu")
        else:
            Image.new("RGB", (16, 16)).save(other / "train" / "dog" / ("new.png" if change == "added" else "000.png"))
        if (change, image_size) == ("replaced", 16):
            continue  # of files only names are known
        with pytest.raises(ValueError, match=r"`resume` needs the configuration .*; .*(classes|data_hash|images): "):
            trained(other, tmp_path / "run", image_size=image_size, resume=True)


def test_held_out_images_are_of_each_class_in_proportion() -> None:
    labels = torch.tensor([0] * 50 + [1] * 20 + [2] * 10 + [3] * 2 + [4])
    held = stratified(labels, 0.2)
    assert torch.bincount(labels[held], minlength=5).tolist() == [10, 4, 2, 1, 0]
    assert torch.bincount(labels[~held], minlength=5).min() >= 1


def test_six_images_of_six_classes_are_not_split(tmp_path: Path, rng: np.random.Generator, plots: None) -> None:
    root = write_folder(tmp_path / "few", rng, classes=tuple("abcdef"), count=1)
    with pytest.raises(ValueError, match="`validation` must be 0 where each class has one image"):
        trained(root, tmp_path / "run")
    assert trained(root, tmp_path / "run", recipe=dataclasses.replace(SMALL, validation=0.0, batch_size=6)).history


@pytest.mark.parametrize("name", ["val", "valid", "validation"])
def test_the_validation_split_by_any_of_its_names(tmp_path: Path, rng: np.random.Generator, name: str) -> None:
    root = write_folder(tmp_path / "pets", rng, splits=("train", "test", name))
    assert len(load(root).validation or ()) == 24
    (root / "val").mkdir(exist_ok=True)
    (root / "valid").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match="must have one validation split"):
        load(root)


def test_images_in_no_class_are_told(pets: Path) -> None:
    Image.new("RGB", (16, 16)).save(pets / "train" / "loose.png")
    with pytest.warns(UserWarning, match="1 images in .*train lie in no class's folder, first loose.png"):
        load(pets)


def test_crop_zero_crops_nothing_from_disk(pets: Path) -> None:
    files = load(pets, image_size=16).train
    assert isinstance(files, Files)
    for crop, alike in ((0.0, True), (0.1, False)):
        pictures = Pictures(files, Recipe(crop=crop, flip="none"), mirror=True, seed=0)
        assert torch.equal(pictures[0, 0][0], pictures[0, 1][0]) == alike


# 2


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_damaged_picture_is_found_before_the_first_step(pets: Path, tmp_path: Path, split: str) -> None:
    bad = pets / split / "dog" / "003.png"
    bad.write_bytes(bad.read_bytes()[:-30])
    with pytest.raises(ValueError, match=r"dog/003\.png must be an image; .*`mgnet check` lists all") as caught:
        trained(pets, tmp_path / "run", image_size=16)
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_file_that_goes_bad_later_brings_no_traceback(pets: Path, tmp_path: Path) -> None:
    files = load(pets, image_size=16).train
    assert isinstance(files, Files)
    Path(files.paths[5]).write_bytes(b"gone")
    from mgnet.vision.batches import picture_batches

    pictures = Pictures(files, None, mirror=False, seed=0)
    for workers in (0, 1):
        with pytest.raises(ValueError, match=r"must be an image") as caught:
            list(picture_batches(pictures, [[(i, 0) for i in range(8)]], workers))
        assert "\n" not in str(caught.value)


def test_tensorboard_is_looked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ModuleNotFoundError, match=r'needs tensorboard; .*: python -m pip install "\.\[logging\]"'):
        train(TINY, "no such data", out=tmp_path / "run", recipe=QUICK, tensorboard=True, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_network_that_is_too_deep_for_the_images(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`model` must be another: this network does not take images of \(8, 8\)"):
        train("vgg19", "digits", out=tmp_path / "run", recipe=QUICK, progress=False)
    assert not (tmp_path / "run").exists()


def test_a_missing_path_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="`dataset` must be a known name or a folder"):
        load(tmp_path / "missing")


@pytest.mark.parametrize(
    "images",
    [
        np.array(["a"]),
        [np.zeros((8, 8)), np.zeros((9, 9))],
        [[1], [1, 2]],
        None,
        {"a": 1},
        object(),
        [None],
        ["x.png", np.zeros((8, 8))],
    ],
)
def test_things_that_are_no_images(run: Run, images: object) -> None:
    with pytest.raises((TypeError, ValueError), match="`images` must"):
        predict(run.directory, images)


def test_a_list_of_arrays_is_an_array(run: Run) -> None:
    pixels = load("digits").test.pixels[:3]  # type: ignore[union-attr]
    want = predict(run.directory, pixels).probabilities
    assert torch.equal(predict(run.directory, [image.numpy() for image in pixels]).probabilities, want)


@pytest.mark.parametrize("name", ["$^$", "a_b$", r"\frac", "<b>", "$x$"])
def test_any_name_of_a_class_can_be_drawn(tmp_path: Path, name: str) -> None:
    assert confusion_matrix([[9, 1], [2, 8]], [name, "dog"], tmp_path / "confusion.png").exists()


def test_the_checkpoint_is_there_before_the_validation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails in it; resume validates then, and the result is that of a run without the failure."""
    task = mgnet.vision.training.Classification
    validate = task.validate

    def failing(self, model, arithmetic):  # type: ignore[no-untyped-def]
        if len(all_checkpoints(tmp_path / "cut")) == 2:
            raise OSError("the disk with the validation images is gone")
        return validate(self, model, arithmetic)

    whole = train(TINY, out=tmp_path / "whole", recipe=QUICK, progress=False)
    monkeypatch.setattr(task, "validate", failing)
    with pytest.raises(OSError, match="is gone"):
        train(TINY, out=tmp_path / "cut", recipe=QUICK, progress=False)
    monkeypatch.undo()
    assert all_checkpoints(tmp_path / "cut")[-1].name == "step-00000040"
    resumed = train(TINY, out=tmp_path / "cut", recipe=QUICK, resume=True, progress=False)
    assert resumed.metrics == whole.metrics
    assert [row["validation_loss"] for row in resumed.history] == [row["validation_loss"] for row in whole.history]


def test_advice_follows_the_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match=r"cannot be written: .*\. Write elsewhere"):
        write(tmp_path / "file" / "x", lambda path: path.write_text(""))

    def full(path: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match=r"No space left on device\. Free some space, or write elsewhere"):
        write(tmp_path / "x", full)


# 3


def test_a_rate_beyond_all_reason_is_divergence(tmp_path: Path) -> None:
    recipe = dataclasses.replace(QUICK, optimizer="sgd", lr=1e9, warmup=0.0)
    with pytest.raises(Diverged, match="not finite"):
        train(TINY, out=tmp_path / "run", recipe=recipe, progress=False)


def test_a_network_without_finite_output_has_diverged() -> None:
    with pytest.raises(Diverged, match="output is not finite"):
        Tally(2, CPU.device).add(torch.tensor([[float("nan"), 0.0]]), torch.tensor([0]), None)


# 4


def test_five_thousand_classes_need_little(tmp_path: Path) -> None:
    names = tuple(f"class {i}" for i in range(5000))
    tally = Tally(5000, CPU.device)
    tally.add(torch.eye(5000), torch.arange(5000), None)
    metrics = tally.metrics(names, CPU, flip=False)
    metrics.save(tmp_path / "metrics.json")
    assert metrics.accuracy == 1
    assert metrics.confusion == ()
    assert (tmp_path / "metrics.json").stat().st_size < 300_000
    assert json.loads((tmp_path / "metrics.json").read_text())["confusion"] == []


@pytest.mark.parametrize("asked", [1, 7, 1000])
def test_images_at_a_time(run: Run, asked: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    add = Tally.add
    monkeypatch.setattr(Tally, "add", lambda self, *a: (seen.append(len(a[0])), add(self, *a)))
    found = evaluate(run.directory, batch_size=asked)
    assert max(seen) == min(asked, 360)
    assert found.accuracy == run.accuracy
    for wrong in (0, -1, 1.5, "8"):
        with pytest.raises(ValueError, match="`batch_size` must be a whole number, 1 or more"):
            evaluate(run.directory, batch_size=wrong)  # type: ignore[arg-type]


# 5

_HOLDS = """
import sys, time
from pathlib import Path
from mgnet.training.runs import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(runs.fcntl is None, reason="Windows has other locks")
def test_two_processes_do_not_train_in_one_folder(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.directory, tmp_path / "run")
    code = [sys.executable, "-c", _HOLDS, str(tmp_path / "run")]
    other = subprocess.Popen(code, stdout=subprocess.PIPE, text=True)
    assert other.stdout is not None
    assert other.stdout.readline() == "held\n"
    again = {"seed": 3, "out": tmp_path / "run", "recipe": QUICK, "resume": True, "progress": False}
    with pytest.raises(OSError, match="no other process trains in; one does in"):
        train(TINY, **again)  # type: ignore[arg-type]
    other.kill()
    other.wait()
    other.stdout.close()
    assert train(TINY, **again).metrics == run.metrics  # type: ignore[arg-type]


def test_sigterm_stops_as_ctrl_c_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    update = Learner.update

    def terminated(self, step, parts):  # type: ignore[no-untyped-def]
        if step == 5:
            os.kill(os.getpid(), signal.SIGTERM)
        return update(self, step, parts)

    monkeypatch.setattr(Learner, "update", terminated)
    with pytest.raises(KeyboardInterrupt, match="stopped after step 6"):
        train(TINY, out=tmp_path / "run", recipe=QUICK, progress=False)
    assert all_checkpoints(tmp_path / "run")[-1].name == "step-00000006"
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_workers_can_be_sent_the_pictures(pets: Path) -> None:
    """As the start method "spawn" does."""
    files = load(pets, image_size=16).train
    assert isinstance(files, Files)
    recipe = Recipe(auto_augment="trivialaugment", erasing=0.5)
    pictures = Pictures(files, recipe, mirror=True, seed=0)
    assert torch.equal(pickle.loads(pickle.dumps(pictures))[3, 1][0], pictures[3, 1][0])
    assert pickle.loads(pickle.dumps(per_image(recipe)))


def test_text_is_read_and_written_in_one_encoding() -> None:
    folder = Path(loop.__file__).parent.parent
    bare = []
    for path in (
        folder / "files.py",
        *(path for part in ("training", "vision", "operators") for path in folder.glob(f"{part}/*.py")),
    ):
        for node in walk(parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, Call):
                continue
            name = node.func.attr if isinstance(node.func, Attribute) else getattr(node.func, "id", "")
            owner = node.func.value.id if isinstance(node.func, Attribute) and isinstance(node.func.value, Name) else ""
            binary = any("b" in str(getattr(a, "value", "")) for a in node.args)
            said = {keyword.arg for keyword in node.keywords}
            method = isinstance(node.func, Attribute)  # not files.write_text, which says it itself
            text = (method and name in ("read_text", "write_text")) or (
                name == "open" and not binary and owner not in ("Image", "os")
            )
            if text and "encoding" not in said:
                bare.append(f"{path.name}:{node.lineno}")
    assert bare == []


# 6

SHARED = ["MgNet[2,2]-8-B^l", "MgNet[2,2,2]-8-B", "MgNet[2,2,2]-8-B-Pi_2", "MgNet[2,2]-8-alpha_i B^l"]


@pytest.mark.parametrize("notation", SHARED)
def test_a_functional_call_leaves_the_model_as_it_was(notation: str) -> None:
    model = MgNet(notation).eval()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    other = {name: 2 * p for name, p in before.items()}
    x = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    called = torch.func.functional_call(model, other, x)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    twin = copy.deepcopy(model)
    with torch.no_grad():
        for name, p in twin.named_parameters():
            p.copy_(other[name])
    torch.testing.assert_close(called, twin(x))


@pytest.mark.parametrize("notation", SHARED)
def test_what_is_shared_stays_shared(notation: str) -> None:
    model = MgNet(notation)
    count = sum(p.numel() for p in model.parameters())
    for moved in (
        copy.deepcopy(model),
        MgNet(notation).double(),
        MgNet(notation).to(memory_format=torch.channels_last),
    ):  # type: ignore[call-overload]
        assert sum(p.numel() for p in moved.parameters()) == count


def test_hooks_on_a_level_see_its_feature() -> None:
    model, seen = MgNet("MgNet[2,2,1]-8-B^l").eval(), {}
    for l, level in enumerate(model.levels):
        level.register_forward_hook(lambda module, inputs, output, l=l: seen.__setitem__(l, output))
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        legs = model.plain_legs(x)
        seen.clear()
        model(x)
    assert seen.keys() == {0, 1, 2}
    for l, leg in enumerate(legs):
        torch.testing.assert_close(seen[l], leg.u)


@pytest.mark.parametrize("name", ["MgNet[2,2]-8-B^l", "alexnet", "vgg19"])
def test_full_backward_hooks(name: str) -> None:
    model = mgnet.vision.build(name).eval()
    seen = []
    for module in model.modules():
        if not list(module.children()):
            module.register_full_backward_hook(lambda module, into, out: seen.append(module))
    model(torch.randn(1, 3, 32, 32, requires_grad=True)).sum().backward()
    assert len(seen) > 5


@pytest.mark.parametrize("smoother", [r"B^{\ell}", r"B^\ell", "B^\u2113"])
def test_the_authors_own_notation(smoother: str) -> None:
    assert str(mgnet.vision.parse(f"MgNet[2,2,2,2]-[256]-{smoother}")) == "MgNet[2,2,2,2]-256-B^l"


def test_nothing_overwrites_its_argument() -> None:
    assert not any(module.inplace for module in MgNet("MgNet[1]-4-B^l").modules() if isinstance(module, nn.ReLU))
    assert re.search("inplace=True", Path(mgnet.vision.network.__file__).read_text(encoding="utf-8")) is None
