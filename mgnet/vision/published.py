"""Checkpoints of the published MgNet code.

They hold {"model_state_dict": ...} with these tensors, where l is the grid and j a place in it:

    conv1, bn1                                stem
    layer{l}.{j}.A, .B, .bn1, .bn2            a smoothing step: A and B, the norms of data and feature
    layer{l}.0.A_old, .A_conv, .Pi_conv, .R_conv, .bn1, .bn2      l > 0: (2), the norms of Pi and R
    fc                                        head

A tensor that the network shares is repeated under each name; the copies must agree.
"""

import pickle
import re
import zipfile
from itertools import combinations
from pathlib import Path

import torch
from torch import Tensor

from mgnet.training.checks import as_path
from mgnet.vision.network import MgNet
from mgnet.vision.weights import copy_into

_NAMES = re.compile(r"(conv1|bn1|fc|layer\d+\.\d+\.(A|B|A_old|A_conv|Pi_conv|R_conv|bn1|bn2))\.\w+")
_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
State = dict[str, Tensor]


def load_published_checkpoint(path: str | Path) -> MgNet:
    """Read a checkpoint of the published code; the architecture is read off the tensors.

    Nothing but tensors and plain values is unpickled.

    Parameters
    ----------
    path : the file that the published code saved

    Returns
    -------
    MgNet : in evaluation mode, in the precision of the file; B^l where all copies of B on each grid
        agree, else B^{l,i}

    Raises
    ------
    FileNotFoundError, ValueError : no such file; damaged; not of this code; copies that disagree

    Example
    -------
    >>> from tempfile import mkdtemp
    >>> path = mkdtemp() + "/other.pth"
    >>> torch.save({"model_state_dict": {"weight": torch.zeros(3)}}, path)
    >>> load_published_checkpoint(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: ...
    """
    state = _read(as_path("path", path))
    try:
        model, ours = _translate(state)
    except KeyError as error:
        raise ValueError(f"{path} must be a checkpoint of the published MgNet code; it has no {error}.") from None
    except _Disagree as error:
        raise ValueError(f"{path} is damaged: {error}.") from None
    copy_into(model, ours, Path(path))
    return model.eval()


class _Disagree(Exception):
    """Two copies of one tensor differ."""


def _read(path: Path) -> State:
    if not path.is_file():
        raise FileNotFoundError(f"`path` must be a checkpoint of the published code; there is no {path}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError) as error:
        reason = f" ({error})" if isinstance(error, OSError) else ""
        raise ValueError(f"{path} is damaged, or is not what torch.save makes of tensors alone{reason}.") from None
    state = content.get("model_state_dict") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(t, Tensor) for t in state.values()):
        raise ValueError(f"{path} must hold a dict with model_state_dict, as the published code saves it.")
    state = {name.removeprefix("module."): t for name, t in state.items()}  # module.: DataParallel
    foreign = [name for name in state if not _NAMES.fullmatch(name)]
    if foreign:
        raise ValueError(f"{path} must be a checkpoint of the published MgNet code; that has no {foreign[0]!r}.")
    return state


def _translate(state: State) -> tuple[MgNet, State]:
    """The network, and its tensors under our names."""
    grids = 1 + max((int(m[1]) for name in state if (m := re.match(r"layer(\d+)\.", name))), default=0)
    steps = [_steps(state, l) for l in range(grids)]
    As = [_same(state, _copies_of_A(state, l, steps)) for l in range(grids)]
    own = _own_B(state, steps)
    channels = ",".join(f"({A.shape[1]},{A.shape[0]})" if A.shape[0] != A.shape[1] else str(A.shape[0]) for A in As)
    notation = f"MgNet[{','.join(str(len(s)) for s in steps)}]-[{channels}]-{'B^{l,i}' if own else 'B^l'}"
    model = MgNet(notation, state["conv1.weight"].shape[1], len(state["fc.weight"]))
    model = model.to(state["fc.weight"].dtype)
    ours = {"stem.0.weight": state["conv1.weight"], **_norm(state, "bn1", "stem.1")}
    ours |= {"head.weight": state["fc.weight"], "head.bias": state["fc.bias"]}
    for l, A in enumerate(As):
        ours |= {f"levels.{l}.A.weight": A, **_smoothers(state, l, steps[l], own)}
        ours |= _restriction(state, l) if l else {}
    return model, ours


def _steps(state: State, l: int) -> list[int]:
    """Places of the smoothing steps on grid l."""
    found = (re.fullmatch(rf"layer{l}\.(\d+)\.B\.weight", name) for name in state)
    return sorted(int(m[1]) for m in found if m)


def _copies_of_A(state: State, l: int, steps: list[list[int]]) -> list[str]:
    names = [f"layer{l}.{j}.A.weight" for j in steps[l]]
    names += [f"layer{l}.0.A_conv.weight"] if l else []
    return names + ([f"layer{l + 1}.0.A_old.weight"] if l + 1 < len(steps) else [])


def _kernels_of_B(l: int, places: list[int]) -> list[str]:
    return [f"layer{l}.{j}.B.weight" for j in places]


def _equal(state: State, names: list[str]) -> bool:
    return all(torch.equal(state[name], state[names[0]]) for name in names)


def _own_B(state: State, steps: list[list[int]]) -> bool:
    """Whether each step has a B of its own; some that agree and some that do not are neither case."""
    groups = [[state[name] for name in _kernels_of_B(l, places)] for l, places in enumerate(steps)]
    alike = [torch.equal(B, other) for Bs in groups for B, other in combinations(Bs, 2)]
    if any(alike) and not all(alike):
        raise _Disagree("the B of some steps should be copies of one tensor and differ")
    return bool(alike) and not all(alike)


def _same(state: State, names: list[str]) -> Tensor:
    if not _equal(state, names):
        raise _Disagree(f"{', '.join(names)} should be copies of one tensor and differ")
    return state[names[0]]


def _norm(state: State, theirs: str, ours: str) -> State:
    return {f"{ours}.{part}": state[f"{theirs}.{part}"] for part in _NORM}


def _smoothers(state: State, l: int, places: list[int], own: bool) -> State:
    ours: State = {}
    for i, j in enumerate(places):
        there, here = f"layer{l}.{j}", f"levels.{l}.Bs.{i}"
        ours |= {**_norm(state, f"{there}.bn1", f"{here}.norm_f"), **_norm(state, f"{there}.bn2", f"{here}.norm_u")}
        if own or i == 0:
            ours[f"{here}.B.weight"] = state[f"{there}.B.weight"]
    return ours


def _restriction(state: State, l: int) -> State:
    """From grid l - 1 to grid l."""
    there, here = f"layer{l}.0", f"levels.{l - 1}"
    kernels = {f"{here}.R.0.weight": state[f"{there}.R_conv.weight"]}
    kernels[f"{here}.Pi.0.weight"] = state[f"{there}.Pi_conv.weight"]
    return {**kernels, **_norm(state, f"{there}.bn1", f"{here}.Pi.1"), **_norm(state, f"{there}.bn2", f"{here}.R.1")}
