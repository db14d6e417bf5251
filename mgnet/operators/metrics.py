"""How good an operator was found to be."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mgnet.files import write_text


@dataclass(frozen=True)
class Metrics:
    """Of an operator on samples.

    Attributes
    ----------
    samples : how many
    error, h1_error, loss : mean relative L2 and H1 error; mean of what was made small
    median, worst : relative L2 error, of the samples
    data_error : mean relative L2 error of the samples themselves, where it was measured (else NaN)
    grid : of the samples
    """

    samples: int
    error: float
    h1_error: float
    loss: float
    median: float
    worst: float
    data_error: float
    grid: tuple[int, ...]

    def save(self, path: str | Path) -> None:
        """Write JSON; what is not a number becomes null.

        Parameters
        ----------
        path : .json

        Raises
        ------
        OSError : it cannot be written; a file that was there before is untouched
        """
        text = json.dumps({name: None if v != v else v for name, v in asdict(self).items()}, indent=1, allow_nan=False)
        write_text(path, text + "\n")
