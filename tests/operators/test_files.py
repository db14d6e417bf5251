"""Samples in files: what is written comes back, what others have written is read, and nothing else is.

1  A saved file comes back to the bit, with its settings; changed numbers are found out.
2  .mat files of both kinds, and .npz files, of the published names or of others.
3  What is no such file, lacks its arrays, holds objects or NaN, is refused; nothing is unpickled.
"""

import numpy as np
import pytest
import scipy.io

from mgnet.operators import Samples, load, poisson, save


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.standard_normal((3, 5, 7)), rng.standard_normal((3, 5, 7))


def test_what_is_saved_comes_back(tmp_path):
    data = poisson(3, 16, ndim=1)
    again = load(save(data[:2], tmp_path / "new" / "data.npz"))
    assert again.hash == data[:2].hash
    assert again.settings == data[:2].settings
    assert (again.ndim, again.grid) == (1, (16,))
    np.testing.assert_array_equal(again.f, data.f[:2])
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["data.npz"]


def test_changed_numbers_are_found_out(tmp_path):
    path = save(poisson(3, 16, ndim=1), tmp_path / "data.npz")
    arrays = dict(np.load(path))
    arrays["outputs"][0, 0] += 1e-12
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="its numbers are not those that were saved"):
        load(path)
    del arrays["error"]
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match="must have the arrays inputs, outputs and error; error are not there"):
        load(path)


def test_matlab_files_of_version_5(tmp_path, pair):
    a, u = pair
    scipy.io.savemat(tmp_path / "piececonst.mat", {"coeff": a, "sol": u, "Kcoeff": a})
    data = load(tmp_path / "piececonst.mat")
    np.testing.assert_array_equal(data.inputs, a)
    np.testing.assert_array_equal(data.outputs, u)
    assert np.isnan(data.error).all()
    assert data.settings["file"] == "piececonst.mat"


def test_matlab_files_of_version_7_3(tmp_path, pair):
    """HDF5 with the axes last first, behind 512 bytes of MATLAB's own."""
    h5py = pytest.importorskip("h5py")
    a, u = pair
    with h5py.File(tmp_path / "data.mat", "w", userblock_size=512) as file:
        file["coeff"], file["sol"] = a.T, u.T.astype("float32")
    data = load(tmp_path / "data.mat")
    np.testing.assert_array_equal(data.inputs, a)
    np.testing.assert_array_equal(data.outputs, u.astype("float32"))


def test_arrays_of_any_name(tmp_path, pair):
    a, u = pair
    np.savez(tmp_path / "data.npz", k=a[:, None], p=u, settings=np.ones(3))
    data = load(tmp_path / "data.npz", inputs="k", outputs="p", ndim=2)
    assert data.inputs.shape == (3, 1, 5, 7)
    assert data.grid == (5, 7)
    with pytest.raises(ValueError, match="its settings are not"):
        load(tmp_path / "data.npz")


@pytest.mark.parametrize("name", ["data.npz", "data.mat"])
def test_files_without_their_arrays(tmp_path, pair, name):
    write = np.savez if name == "data.npz" else lambda path, **arrays: scipy.io.savemat(path, arrays)
    write(tmp_path / name, coeff=pair[0], other=pair[1])
    with pytest.raises(ValueError, match=r"an array one of outputs, u, sol.*; it has coeff, other\. Say `outputs`"):
        load(tmp_path / name)
    with pytest.raises(ValueError, match=r"must have an array 'k'; it has coeff, other\. Say `inputs`"):
        load(tmp_path / name, inputs="k", outputs="other")


@pytest.mark.parametrize("name", ["data.npz", "data.mat"])
@pytest.mark.parametrize("content", [b"", b"no such thing " * 50, b"PK\x03\x04" + b"0" * 200, b"\x89HDF\r\n\x1a\n" * 9])
def test_what_is_no_such_file(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name} is damaged, or no \.\w+ file"):
        load(tmp_path / name)


@pytest.mark.parametrize("name", ["data.npz", "data.mat"])
def test_a_file_that_ends_too_soon(tmp_path, pair, name):
    a, u = pair
    if name == "data.npz":
        np.savez_compressed(tmp_path / name, a=a, u=u)
    else:
        scipy.io.savemat(tmp_path / name, {"a": a, "u": u})
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ValueError, match="is damaged"):
        load(tmp_path / name)


def test_nothing_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("it was unpickled",))

    np.savez(tmp_path / "data.npz", a=np.array([Trap()], dtype=object), u=np.ones(1))
    with pytest.raises(ValueError, match=r"pickle|object"):
        load(tmp_path / "data.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda a, u: (np.where(np.arange(7) == 3, np.nan, a), u),
            r"`inputs` .* must be finite; .* first at \(0, 0, 3\)",
        ),
        (lambda a, u: (a, u[:2]), "must be as many, on one grid"),
        (lambda a, u: (a, u[:, :4]), "must be as many, on one grid"),
        (lambda a, u: (a[0, 0], u[0, 0]), "must be \\(samples, \\*grid\\)"),
        (lambda a, u: (a.astype(str), u), "must hold real numbers"),
    ],
)
def test_samples_that_do_not_belong_together(tmp_path, pair, change, message):
    a, u = change(*pair)
    np.savez(tmp_path / "data.npz", a=a, u=u)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "data.npz")


def test_other_places(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load(tmp_path / "data.npz")
    (tmp_path / "data.csv").write_text("1")
    with pytest.raises(ValueError, match=r"must end in \.npz or \.mat"):
        load(tmp_path / "data.csv")
    with pytest.raises(ValueError, match=r"must end in \.npz"):
        save(Samples(np.ones((1, 8)), np.ones((1, 8)), np.zeros(1), ndim=1), tmp_path / "data.mat")
