"""Whether all pictures of a data set can be read, before anything depends on it."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset

from mgnet.training.progress import Progress
from mgnet.training.randomness import generator
from mgnet.vision.images import Dataset as Data
from mgnet.vision.images import Files
from mgnet.vision.pictures import list_images, read_image


class _Readable(Dataset):
    """What is wrong with each file; "" where nothing is."""

    def __init__(self, paths: Sequence[str]):
        self.paths = paths

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, i: int) -> str:
        try:
            read_image(self.paths[i], 3)
        except ValueError as error:
            return str(error)
        return ""


def unreadable(paths: Sequence[str | Path], workers: int | None = None, progress: bool = False) -> list[str]:
    """A line for each file that is no whole picture; all of them are decoded.

    Parameters
    ----------
    workers : processes that decode; 0: this one does; None: one a thread, eight at most
    progress : say how many are done, where they are more than a few

    Example
    -------
    >>> unreadable(["missing.png"], workers=0)
    ["missing.png must be an image; it cannot be read: [Errno 2] No such file or directory: 'missing.png'"]
    """
    found = _Readable(list(map(str, paths)))
    few = len(found) <= 256  # they are read before a process has started
    number = 0 if few else min(8, torch.get_num_threads()) if workers is None else workers
    loader = DataLoader(found, 64, num_workers=number, collate_fn=list, generator=generator(0, "workers"))
    said, done = list[str](), 0
    with Progress(len(found), "picture", progress and not few) as shown:
        shown.show(0, "reading all pictures once")
        for lines in loader:
            said += filter(None, lines)
            shown.show(done := done + len(lines))
    return said


def check_files(data: Data, workers: int | None = None, progress: bool = False) -> None:
    """That every file of every split can be read; images in memory were.

    Raises
    ------
    ValueError : some cannot
    """
    splits = [images for images in (data.train, data.validation, data.test) if isinstance(images, Files)]
    wrong = unreadable([path for images in splits for path in images.paths], workers, progress)
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise ValueError(f"{wrong[0]}{more}. `mgnet check` lists all such files.")


def check_folder(folder: str | Path, workers: int | None = None, progress: bool = False) -> tuple[int, list[str]]:
    """How many pictures there are below a folder, and a line for each that cannot be read.

    Raises
    ------
    FileNotFoundError : no such folder, or no picture in it
    """
    paths = list_images(Path(folder)) if Path(folder).is_dir() else []
    if not paths:
        raise FileNotFoundError(f"`folder` must be a folder of pictures; {str(folder)!r} is not.")
    return len(paths), unreadable(paths, workers, progress)
