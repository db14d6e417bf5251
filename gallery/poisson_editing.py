"""Poisson image editing

Paste a piece of one photograph into another without a seam (Perez, Gangnet & Blake 2003): keep its gradients, take the
colours on its rim from the picture below. What is added to each colour is harmonic: Lap w = 0 inside of the piece,
w = target - source around it. The tool is OpenCV's seamlessClone.
"""

import numpy as np
from data import two_flowers
from drawing import Panel, figure, save
from network import held, network
from race import Race, Tool

from mgnet.pde import solve


def blend(source, target, mask):
    near = tuple(slice(at.min() - 1, at.max() + 2) for at in np.nonzero(mask))  # the piece, and a pixel around it
    gap, upper = np.moveaxis((target - source)[near], -1, 0), [at.stop - at.start + 1 for at in near]  # width 1
    w = solve(np.zeros_like(gap), mask=mask[near], mask_boundary=gap, ndim=2, upper=upper, tol=1e-4).u
    blended = target.copy()
    blended[near] += mask[near][..., None] * (np.moveaxis(w, 0, -1) - np.moveaxis(gap, 0, -1))
    return blended


def opencv(source, target, mask):
    import cv2

    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    centre = int(columns[0] + columns[-1]) // 2, int(rows[0] + rows[-1]) // 2
    source, target = (np.rint(255 * picture).astype(np.uint8) for picture in (source, target))
    return cv2.seamlessClone(source, target, 255 * mask.astype(np.uint8), centre, cv2.NORMAL_CLONE) / 255


def main(scale=3):
    source, target, mask = two_flowers(scale)
    race = Race((source, target, mask), blend, [Tool("OpenCV", "opencv-python-headless", opencv, "cv2")])
    ours, theirs = race.answers
    facts = []
    if theirs is not None:
        inside, around = (255 * abs(ours - theirs)[where].mean() for where in (mask, ~mask))
        facts = [f"Grey levels apart: {inside:.1f} inside, {around:.2f} around the piece, where mgnet changes nothing."]
        assert inside < 8
    pasted = np.where(mask[..., None], source, target)
    save(figure(Panel(pasted, "Pasted"), Panel(ours.clip(0, 1), "Blended"))[0], __file__, photograph=True)
    few = (slice(None, None, max(1, len(mask) // 80)),) * 2  # fewer pixels, beside a direct solver
    A = network(*(np.ones(np.subtract(mask[few].shape, step)) for step in ((1, 0), (0, 1))))
    direct = source[few] + held(A, ~mask[few], (target - source)[few][..., 0])[..., None]
    assert abs(blend(source[few], target[few], mask[few]) - direct)[mask[few], 0].max() < 0.002
    return race.tell(f"{mask.shape[1]} x {mask.shape[0]} pixels, 3 colours, {mask.sum():,} replaced", *facts)


if __name__ == "__main__":
    main()
