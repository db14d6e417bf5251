"""Small data sets in the true formats."""

import gzip
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def write_cifar10(root: Path, rng: np.random.Generator, count: int = 40, protocol: int = 2) -> Path:
    """cifar-10-batches-py with `count` images a batch, the class written into each image's red channel."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch"]:
        labels = [int(c) for c in rng.integers(0, 10, count)]
        data = rng.integers(0, 256, (count, 3072), dtype=np.uint8)
        data[:, :1024] = 25 * np.array(labels, dtype=np.uint8)[:, None]
        batch = {"batch_label": name, "labels": labels, "data": data, "filenames": [f"{i}.png" for i in range(count)]}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=protocol))
    names = [f"class{i}" for i in range(10)]
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": names}, protocol=protocol))
    return folder


def write_cifar100(root: Path, rng: np.random.Generator, count: int = 40) -> Path:
    folder = root / "cifar-100-python"
    folder.mkdir(parents=True)
    for name in ("train", "test"):
        fine = [int(c) for c in rng.integers(0, 100, count)]
        batch = {"data": rng.integers(0, 256, (count, 3072), dtype=np.uint8), "fine_labels": fine}
        batch["coarse_labels"] = [c // 5 for c in fine]
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    (folder / "meta").write_bytes(pickle.dumps({"fine_label_names": [f"c{i}" for i in range(100)]}, protocol=2))
    return folder


def write_idx(folder: Path, rng: np.random.Generator, count: int = 40, packed: bool = False) -> Path:
    """The four files of MNIST."""
    folder.mkdir(parents=True)
    for part in ("train", "t10k"):
        pixels = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        images = struct.pack(">4B3I", 0, 0, 8, 3, *pixels.shape) + pixels.tobytes()
        for name, content in (
            (f"{part}-images-idx3-ubyte", images),
            (f"{part}-labels-idx1-ubyte", struct.pack(">4BI", 0, 0, 8, 1, count) + labels.tobytes()),
        ):
            path = folder / (name + ".gz" if packed else name)
            path.write_bytes(gzip.compress(content) if packed else content)
    return folder


def write_folder(
    root: Path,
    rng: np.random.Generator,
    splits: tuple[str, ...] = ("train", "test"),
    classes: tuple[str, ...] = ("cat", "dog"),
    size: tuple[int, int] = (16, 16),
    count: int = 12,
    mode: str = "RGB",
) -> Path:
    """A folder a class; the class is written into the brightness."""
    for split in splits:
        for c, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                shape = size if mode == "L" else (*size, len(mode))
                pixels = rng.integers(0, 60, shape, dtype=np.uint8) + np.uint8(150 * c // max(1, len(classes) - 1))
                Image.fromarray(pixels).save(folder / f"{i:03d}.png")
    return root
