"""Random walker segmentation

Some pixels are marked as object, some as background; where does a random walker from each other pixel arrive first, if
it crosses edges of the picture unwillingly (Grady 2006)? Its probability solves div(w grad u) = 0, u = 1 and 0 on the
marks, w = exp(-beta |step of colour|^2). The tool, scikit-image's random_walker, takes PyAMG or conjugate gradients.
"""

import numpy as np
from data import marked_flower, pixels
from drawing import Panel, figure, save
from network import closed, held, network
from race import Race, Tool

from mgnet.pde import Faces, solve

BETA = 400


def weights(picture):
    """As scikit-image has them."""
    steps = [(np.diff(picture, axis=d) ** 2).sum(-1) for d in (0, 1)]
    return [np.exp(-BETA / (10 * picture.std() * np.sqrt(3)) * step) + 1e-10 for step in steps]


def walk(picture, marks, tol=1e-3):
    """The probability to arrive at the flower first."""
    a = Faces(*map(closed, weights(picture), (0, 1)))
    return solve(np.zeros(marks.shape), grid=pixels(marks.shape), a=a, fixed=(marks > 0, marks % 2.0), tol=tol).u


def random_walker(mode):
    def walked(picture, marks):
        from skimage.segmentation import random_walker

        return random_walker(picture, marks, BETA, mode, channel_axis=-1, return_full_prob=True)[0]

    return Tool(f"random_walker {mode}", "scikit-image", walked, "skimage")


def main(scale=1):
    picture, marks = marked_flower(scale)
    race = Race((picture, marks), walk, [random_walker("cg_mg"), random_walker("cg_j")])
    ours = race.answers[0]
    same = race.each(lambda u: ((u > 0.5) == (ours > 0.5)).mean())
    assert all(share is None or share > 0.99 for share in same)
    part = (slice(None, None, max(1, len(marks) // 60)),) * 2  # fewer pixels, beside a direct solver
    direct = held(network(*weights(picture[part])), marks[part] > 0, marks[part] == 1)
    assert abs(walk(picture[part], marks[part], 1e-9) - direct).max() < 1e-5
    tint = np.where(marks[..., None] == 1, 1.0, 0.0)  # white on the flower, black around it
    shown = np.where(marks[..., None] > 0, 0.3 * picture + 0.7 * tint, picture)
    cut = np.where(ours[..., None] > 0.5, picture, 1)
    save(figure(Panel(shown, "Marks"), Panel(cut, "The flower"))[0], __file__, photograph=True)
    told = race.values("Pixels decided as mgnet does", "{:.2%}", [None, *same[1:]])
    return race.tell(f"{marks.shape[1]} x {marks.shape[0]} pixels", told)


if __name__ == "__main__":
    main()
