"""Phase unwrapping

A radar interferogram tells heights up to multiples of a wavelength, and nothing over water. Weighted least squares
(Ghiglia & Romero 1994) takes the phase whose differences come closest to the wrapped ones, weighted by how far each can
be trusted: div(w grad u) = div(w wrap(grad phase)). The tool, unwrap_phase of scikit-image, follows good pixels.
"""

import numpy as np
from data import interferogram, pixels
from drawing import Panel, figure, save
from network import closed, divergence, held, network
from race import Race, Tool

from mgnet.pde import Faces, solve


def equations(phase, coherence):
    """The weights between pixels, and the right-hand side."""
    w = [np.minimum(np.delete(coherence, 0, d), np.delete(coherence, -1, d)) ** 2 for d in (0, 1)]
    return w, -divergence(*(w[d] * np.angle(np.exp(1j * np.diff(phase, axis=d))) for d in (0, 1)))


def unwrap(phase, coherence, tol=1e-5):
    """The least squares' u, and the phase by multiples of a wavelength next to it."""
    w, f = equations(phase, coherence)
    u = solve(f, grid=pixels(f.shape), a=Faces(*map(closed, w, (0, 1))), project=True, tol=tol).u
    u += np.angle((coherence * np.exp(1j * (phase - u))).sum())
    return u, phase + 2 * np.pi * np.rint((u - phase) / (2 * np.pi))


def follow(phase, coherence):
    from skimage.restoration import unwrap_phase

    found = unwrap_phase(np.ma.array(phase, mask=coherence < 0.5))
    return None, np.ma.filled(found, np.nan)


def main(n=680):
    truth, phase, coherence = interferogram(n)
    race = Race((phase, coherence), unwrap, [Tool("unwrap_phase", "scikit-image", follow, "skimage")])
    off = race.each(lambda answer: (answer[1] - truth)[coherence > 0.5])
    right = [None if one is None else (abs(one - np.median(one)) < np.pi).mean() for one in off]
    assert right[0] > 0.97
    w, f = equations(phase[:64, :64], coherence[:64, :64])  # a corner, beside a direct solver
    direct = held(network(*w), np.arange(f.size).reshape(f.shape) == 0, np.zeros(f.shape), f)
    u = unwrap(phase[:64, :64], coherence[:64, :64], 1e-10)[0]
    assert np.ptp(u - direct) < 1e-5
    heights = {"cmap": "terrain"}
    panels = (
        Panel(phase, "Measured", "radians", {"cmap": "twilight"}),
        Panel(race.answers[0][1], "Unwrapped", "radians", heights),
    )
    save(figure(*panels)[0], __file__)
    return race.tell(f"{n} x {n} pixels", race.values("Multiples of a wavelength right on land", "{:.2%}", right))


if __name__ == "__main__":
    main()
