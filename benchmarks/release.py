"""Let the network of a run of ``benchmarks.classifiers`` come along as ``mgnet.vision.pretrained``.

    python -m benchmarks.release NAME [--data data] [--runs runs]

writes the weights of the first seed, in half precision, to mgnet/vision/released/NAME.safetensors, and enters
them into index.json beside, with their hash and their accuracy as they are then, on the test set.
"""

import hashlib
import json
from pathlib import Path

from benchmarks.classifiers import ENTRIES, parser
from mgnet.files import write_text
from mgnet.vision import evaluate
from mgnet.vision.releases import FOLDER, INDEX
from mgnet.vision.weights import load_weights, save_weights


def main() -> None:
    given = parser(__doc__).parse_args()
    print(release(given.name, given.runs / given.name / f"seed{ENTRIES[given.name].seeds[0]}", given.data, FOLDER))


def release(name: str, run: Path, data: Path, folder: Path) -> dict:
    """Write a run's weights and its line in the index; returns the line."""
    network, card = load_weights(run / "model.safetensors")
    path = folder / f"{name}.safetensors"
    save_weights(path, network.half(), card)
    line = {
        "model": card.model,
        "dataset": card.dataset,
        "run": name,
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "accuracy": evaluate(path, data=data).accuracy,
    }
    index = folder / INDEX
    others = [other for other in json.loads(index.read_text()) if other["run"] != name] if index.exists() else []
    text = json.dumps(sorted([*others, line], key=lambda entry: entry["run"]), indent=1) + "\n"
    write_text(index, text)
    return line


if __name__ == "__main__":
    main()
