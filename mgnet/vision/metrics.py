"""How good a classifier was found to be."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from mgnet.files import write_text


@dataclass(frozen=True)
class Metrics:
    """Of a network on labelled images.

    Attributes
    ----------
    images : how many
    accuracy, top5 : share of images whose class is the first, among the first five
    loss : mean cross entropy
    calibration_error : mean |confidence - accuracy| over 15 bins of confidence (Guo et al. 2017, arXiv:1706.04599)
    per_class : accuracy on each class that has images
    confusion : how often class i was taken for class j; empty where there are more than 1,000 classes
    flipped_accuracy : with the logits of image and mirror image averaged; None where it was not asked for
    """

    images: int
    accuracy: float
    top5: float
    loss: float
    calibration_error: float
    per_class: dict[str, float]
    confusion: tuple[tuple[int, ...], ...]
    flipped_accuracy: float | None = None

    def save(self, path: str | Path) -> None:
        """Write JSON.

        Parameters
        ----------
        path : .json

        Raises
        ------
        OSError : it cannot be written; a file that was there before is untouched
        """
        rows = ",\n  ".join(map(json.dumps, self.confusion))
        text, empty = json.dumps(asdict(replace(self, confusion=())), indent=1), '\n "confusion": []'
        text = text.replace(empty, f'\n "confusion": [\n  {rows}\n ]' if rows else empty)
        write_text(path, text + "\n")
