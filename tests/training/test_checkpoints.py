"""Checkpoints on disk.

1  The newest two are kept, whole: where the newest is damaged the one before takes its place.
2  What was being written when a process died does not count, and goes with the next one.
3  A run's folder stands for its own weights, else for those of its newest checkpoint that has some.
4  No changed bit passes, of weights or of a state.
"""

from pathlib import Path

import pytest
import torch

from mgnet.training.checkpoints import all_checkpoints, load_state, newest_weights, save_checkpoint
from mgnet.training.weights import read_tensors, write_tensors

HEADER = {"mgnet.made_up": "what it is"}
NAMES = ["step-00000007", "step-00000010"]


def save(run: Path, step: int) -> Path:
    """A checkpoint whose every weight is its step."""
    model = torch.nn.Linear(3, 2)
    for p in model.parameters():
        torch.nn.init.constant_(p, step)
    return save_checkpoint(run, step, model, HEADER, {"step": step})


@pytest.fixture
def run(tmp_path: Path) -> Path:
    for step in (3, 7, 10):
        save(tmp_path, step)
    return tmp_path


def test_the_newest_two_are_kept_whole(run: Path) -> None:
    found = all_checkpoints(run)
    assert [path.name for path in found] == NAMES
    for path, step in zip(found, (7, 10), strict=True):
        assert load_state(path) == {"step": step}
        stored, said = read_tensors(path / "model.safetensors", "mgnet.made_up")
        assert said == "what it is"
        assert stored.keys() == {"weight", "bias"}
        assert all((t == step).all() for t in stored.values())


def test_saving_a_step_again_takes_its_place(run: Path) -> None:
    save(run, 10)
    assert [path.name for path in all_checkpoints(run)] == NAMES


@pytest.mark.parametrize(
    "damage", [lambda b: b[:100], lambda b: b"", lambda b: b"not one"], ids=["cut", "empty", "foreign"]
)
def test_a_damaged_state_says_which_to_remove(run: Path, damage) -> None:  # type: ignore[no-untyped-def]
    state = all_checkpoints(run)[-1] / "state.pt"
    state.write_bytes(damage(state.read_bytes()))
    with pytest.raises(ValueError, match=r"state\.pt is damaged: .* Remove step-00000010 to resume from"):
        load_state(state.parent)
    assert load_state(all_checkpoints(run)[-2]) == {"step": 7}


def test_a_state_that_would_build_anything_else_is_refused(run: Path) -> None:
    state = all_checkpoints(run)[-1] / "state.pt"
    torch.save({"step": Path}, state)
    with pytest.raises(ValueError, match="is damaged"):
        load_state(state.parent)


def test_what_was_half_written_does_not_count(run: Path) -> None:
    half = run / "checkpoints" / ".writing"
    half.mkdir()
    (half / "left").write_text("over")
    assert [path.name for path in all_checkpoints(run)] == NAMES
    new = save(run, 12)
    assert {path.name for path in new.iterdir()} == {"model.safetensors", "state.pt"}
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith(".")] == []


def test_which_weights_a_folder_stands_for(run: Path) -> None:
    old, new = all_checkpoints(run)
    assert newest_weights(run) == new / "model.safetensors"
    assert newest_weights(old) == old / "model.safetensors"
    (new / "model.safetensors").unlink()
    assert newest_weights(run) == old / "model.safetensors"
    (run / "model.safetensors").touch()
    assert newest_weights(run) == newest_weights(run / "model.safetensors") == run / "model.safetensors"
    with pytest.raises(FileNotFoundError, match="is neither"):
        newest_weights(new)


@pytest.mark.parametrize("name", ["model.safetensors", "state.pt"])
def test_a_changed_bit_is_seen(tmp_path: Path, name: str) -> None:
    folder = save_checkpoint(tmp_path, 3, torch.nn.Linear(300, 20), HEADER, {"optimizer": torch.zeros(9000)})
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 0x40
    (folder / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged: "):
        load_state(folder) if name == "state.pt" else read_tensors(folder / name, "mgnet.made_up")


def test_numbers_of_any_kind_have_a_hash(tmp_path: Path) -> None:
    model = torch.nn.Module()
    given = {"bf16": torch.ones(2, 3).bfloat16(), "none": torch.zeros(0, 2), "complex": torch.ones(2) * 1j}
    given |= {"scalar": torch.tensor(3), "flag": torch.tensor([True, False]), "turned": torch.rand(3, 4).T}
    for key, value in given.items():
        model.register_buffer(key, value)
    write_tensors(tmp_path / "w.safetensors", model, HEADER)
    stored, _ = read_tensors(tmp_path / "w.safetensors", "mgnet.made_up")
    assert all(torch.equal(stored[key], value) for key, value in given.items())


def test_the_same_network_has_the_same_bytes(tmp_path: Path) -> None:
    """A release has its hash in an index: what the header says must not come in an order of chance."""
    model, header = torch.nn.Linear(3, 2), HEADER | {f"key {i}": str(i) for i in range(9)}
    for name in ("a", "b"):
        write_tensors(tmp_path / name, model, header)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert read_tensors(tmp_path / "a", "mgnet.made_up")[1] == HEADER["mgnet.made_up"]
