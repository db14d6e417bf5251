"""What is written.

1  A file is whole or not there, whatever stops its writing; nothing but a file that may be written to is replaced.
2  No command replaces a file, and says so before it works; no run or sweep begins where another's files lie. Two
   commands at once have a folder each, and one that has written nothing leaves none.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch

import mgnet
from mgnet import cli_processes, operators, vision
from mgnet.cli import main
from mgnet.files import new_folder, unless_empty, write
from mgnet.training.checkpoints import save_checkpoint
from mgnet.training.exporting import write_program
from mgnet.training.runs import open_folder
from mgnet.training.weights import write_tensors
from mgnet.vision.prediction import Predictions

SMALL = mgnet.pde.solve(np.ones((7, 7)))


@pytest.mark.parametrize("stop", [OSError(28, "No space left on device"), KeyboardInterrupt(), ValueError("no")])
def test_what_was_there_is_untouched_until_the_new_is_whole(stop, tmp_path):
    def save(path):
        path.write_text("ha")
        raise stop

    (tmp_path / "x").write_text("before")
    with pytest.raises(type(stop)):
        write(tmp_path / "x", save)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("x", "before")]


def test_a_full_disk_that_numpy_found_is_said_as_any_other(tmp_path):
    def save(path):
        raise OSError("261121 requested and 131056 written")

    with pytest.raises(OSError, match=r"No space left on device \(261121 requested.*Free some space") as caught:
        write(tmp_path / "x", save)
    assert caught.value.errno == errno.ENOSPC


def test_a_link_stays_one(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "x").symlink_to(tmp_path / "there" / "y")
    write(tmp_path / "x", lambda path: path.write_text("new"))
    assert (tmp_path / "x").is_symlink()
    assert (tmp_path / "there" / "y").read_text() == "new"


def test_what_is_no_file_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", "."):
        with pytest.raises(OSError, match="it is there and is no file"):
            write(tmp_path / name, lambda path: path.write_text("new"))
    assert (tmp_path / "pipe").is_fifo()


def test_what_must_not_be_written_to_is_not_replaced(tmp_path, monkeypatch):
    (tmp_path / "x").write_text("before")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as root may write to all
    with pytest.raises(PermissionError, match="x cannot be written: Permission denied"):
        write(tmp_path / "x", lambda path: path.write_text("new"))
    assert (tmp_path / "x").read_text() == "before"


@pytest.mark.parametrize("name", ["picture", "picture.png", "picture.svg", "a picture, größer.pdf"])
def test_pictures_have_the_name_and_the_format_asked_for(name, tmp_path):
    SMALL.plot(tmp_path / "new" / name)
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]
    signs = {".svg": b"<?xml", ".pdf": b"%PDF"}
    assert (tmp_path / "new" / name).read_bytes().startswith(signs.get(Path(name).suffix, b"\x89PNG"))


@contextmanager
def little_space(size: int) -> Iterator[None]:
    """No file can be larger: what a full disk does, but for the number of the error."""
    resource = pytest.importorskip("resource", reason="limits of files are Unix's")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def example(n):
    return torch.ones(n, 300)


DOORS = {
    "samples": lambda path: operators.save(
        operators.Samples(np.ones((2, 300)), np.ones((2, 300)), np.zeros(2), 1), path
    ),
    "picture": lambda path: SMALL.plot(path.with_suffix(".png")),
    "pt2": lambda path: write_program(torch.nn.Linear(300, 9).eval(), example, path.with_suffix(".pt2"), ("x", "y")),
    "onnx": lambda path: write_program(torch.nn.Linear(300, 9).eval(), example, path.with_suffix(".onnx"), ("x", "y")),
    "weights": lambda path: write_tensors(path, torch.nn.Linear(300, 9), {}),
    "checkpoint": lambda path: save_checkpoint(path.parent, 3, torch.nn.Linear(300, 9), {}, {"x": torch.ones(900)}),
    "classes": lambda path: Predictions(tuple("abc") * 300, ("one",), torch.ones(900, 1)).write_csv(path),
    "confusion": lambda path: vision.Metrics(1, 1.0, 1.0, 1.0, 1.0, {str(i): 1.0 for i in range(900)}, ()).save(path),
}


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_a_full_disk_costs_a_clear_error_and_nothing_else(door, tmp_path):
    with little_space(2000), pytest.raises(OSError, match=r"cannot be written: .* Free some space, or") as told:
        door(tmp_path / "x.npz")
    assert str(told.value).count("cannot be written") == 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


COMMANDS = [
    ("solve 9 --out .", "u.npy"),
    ("solve 9 --out .", "solution.png"),
    ("demo --out .", "learning.png"),
    ("evaluate run --out m.json", "m.json"),
    ("predict run x.png --out p.csv", "p.csv"),
    ("export run m.onnx", "m.onnx"),
    ("operator data poisson --samples 1 --size 8", "samples.npz"),
    ("operator data poisson --samples 1 --size 8 --out d.npz", "d.npz"),
    ("operator evaluate run data.npz --out m.json", "m.json"),
    ("operator predict run f.npy", "outputs.npy"),
    ("operator export run m.pt2", "m.pt2"),
]


@pytest.mark.parametrize("broken", [False, True], ids=["file", "broken_link"])
@pytest.mark.parametrize(("line", "name"), COMMANDS, ids=[f"{line}: {name}" for line, name in COMMANDS])
def test_no_command_replaces_a_file(line, name, broken, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path(name).symlink_to("nowhere") if broken else Path(name).write_text("kept")
    assert main(line.split()) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert name in said
    assert "would be lost" in said
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert broken or Path(name).read_text() == "kept"


@pytest.mark.parametrize("name", ["model.safetensors", "history.csv", "report.html", "plots"])
def test_a_run_begins_where_nothing_of_its_names_is(name, tmp_path):
    (tmp_path / name).write_text("kept")
    with pytest.raises(FileExistsError, match=f"without {name}, which would be lost"):
        open_folder(tmp_path, {}, False)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_functions_replace_as_numpy_does(tmp_path):
    for size in (8, 16):
        operators.save(operators.poisson(1, size, reference=0), tmp_path / "d.npz")
    assert operators.load(tmp_path / "d.npz").grid == (16, 16)


def test_two_commands_at_once_have_a_folder_each(tmp_path: Path) -> None:
    """Also before either has written anything."""
    default = tmp_path / "runs" / "solve"
    names = [new_folder(None, default, "u.npy").name for _ in range(3)]
    assert names == ["solve", "solve-2", "solve-3"]


def test_a_folder_into_which_nothing_came_goes_again(tmp_path: Path) -> None:
    for made, there in ((True, False), (False, True)):
        folder = tmp_path / str(made)
        folder.mkdir()
        with pytest.raises(ValueError, match="nothing"), unless_empty(folder, made):
            raise ValueError("nothing")
        assert folder.exists() == there
    kept = new_folder(None, tmp_path / "full", "u.npy")
    with unless_empty(kept, made=True):
        (kept / "u.npy").touch()
    assert kept.exists()


def test_a_solve_that_fails_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["solve", "9", "--a", "nan"]) == 2
    assert not Path("runs", "solve").exists()


@pytest.mark.skipif(os.name == "nt", reason="no posix_fallocate")
def test_a_disk_without_room_for_all_blocks_is_said_to_be_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any process writes to what is mapped, which would end it."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(OSError, match=r"u\.npy cannot be written: No space left on device\. Free some space"):
        cli_processes._room(tmp_path / ".u.part.npy", np.dtype(float), (9, 9))
    assert list(tmp_path.iterdir()) == []
