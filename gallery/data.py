"""What the scripts work on, and answers that are known."""

import numpy as np
from matplotlib.cbook import get_sample_data
from network import pairs
from scipy.ndimage import gaussian_filter, label, zoom
from scipy.optimize import brentq
from scipy.special import j0, j1, jn_zeros
from sklearn.datasets import load_sample_image

from mgnet.pde import Grid


def pixels(shape: tuple[int, ...]) -> Grid:
    """Cells of width 1; nothing crosses the ends."""
    return Grid(shape, "neumann", upper=shape, centering="cell")


def rock(n: int) -> np.ndarray:
    """Where n^3 voxels are pores that lead from the first layer to the last."""
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(n, n, n)), min(n / 16, 5), mode="wrap")
    parts, _ = label(noise > np.quantile(noise, 0.45))
    return np.isin(parts, np.intersect1d(parts[0], parts[-1])[1:])  # part 0 is stone


def flower(scale: float) -> np.ndarray:
    """A photograph, 427 scale by 640 scale pixels, 3 colours from 0 to 1."""
    return zoom(load_sample_image("flower.jpg") / 255, (scale, scale, 1), order=1)


def two_flowers(scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A small flower to be pasted, the flower to be its neighbour, and where; float32."""
    target = flower(scale).astype(np.float32)
    small, source = zoom(target, (0.4, 0.4, 1), order=1)[:, ::-1], np.zeros_like(target)
    source[: len(small), : small.shape[1]] = small  # the flower's centre is at 89, 134 now
    return np.roll(source, (round(6 * scale), round(-50 * scale)), (0, 1)), target, _disc(target, (90, 84), 66, scale)


def marked_flower(scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The flower, and marks on it: 1 flower, 2 background."""
    picture = flower(scale)
    marks = 1 * (_disc(picture, (223, 305), 100, scale) | _disc(picture, (414, 365), 14, scale))
    ring = _disc(picture, (223, 305), 170, scale) & ~_disc(picture, (223, 305), 160, scale)
    marks[ring & ~_disc(picture, (412, 365), 75, scale)] = 2
    return picture, marks


def _disc(picture: np.ndarray, centre: tuple[float, float], radius: float, scale: float) -> np.ndarray:
    y, x = np.ogrid[: len(picture), : picture.shape[1]]
    return np.hypot(y - scale * centre[0], x - scale * centre[1]) < scale * radius


def interferogram(n: int, looks: int = 4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Heights of a part of Tennessee, in radians; their phase, with speckle; the coherence, low on some lakes."""
    elevation = get_sample_data("jacksboro_fault_dem.npz")["elevation"]
    height = zoom(elevation[:340, :340].astype(float), n / 340, order=1)
    rng = np.random.default_rng(0)
    land = gaussian_filter(rng.normal(size=(n, n)), n / 20)
    coherence, truth = np.where(land < np.quantile(land, 0.15), 0.1, 0.9), (height - height.mean()) * n / 6500
    first, second = rng.normal(size=(2, looks, n, n)) + 1j * rng.normal(size=(2, looks, n, n))
    second = coherence * first * np.exp(1j * truth) + np.sqrt(1 - coherence**2) * second
    return truth, np.angle((second * first.conj()).sum(0)), coherence


def cone(n: int) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """The scales of a pine cone: heights in pixels; the slopes between pixels, as seen with noise; where it is."""
    x, y = np.meshgrid(*(np.linspace(-1.15, 1.15, n),) * 2, indexing="ij")
    height = np.full((n, n), -1.0)
    for k in range(1, 150):
        r, angle = 0.95 * np.sqrt(k / 150), np.pi * (3 - np.sqrt(5)) * k  # the golden angle
        away = (x - r * np.cos(angle)) ** 2 + (y - r * np.sin(angle)) ** 2
        height = np.maximum(height, 0.7 * np.sqrt(1.1 - r**2) - 6 * away)
    inside, height, rng = height > 0, height * n / 2.3, np.random.default_rng(0)
    both = pairs(inside)
    slopes = [(np.diff(height, axis=d) + 0.1 * rng.normal(size=both[d].shape)) * both[d] for d in (0, 1)]
    return height, slopes, inside


def aquifer(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log k of n x n pixels; what each of nine wells takes, one at a time; where heads are measured."""
    rng, at = np.random.default_rng(0), (np.arange(1, 8, 2) * n) // 8
    field = gaussian_filter(rng.normal(size=(n, n)), n / 10, mode="reflect")
    wells, pumped = np.zeros((n, n), bool), [(i, j) for i in at[1:] for j in at[1:]]
    every = (np.arange(1, 16, 2) * n) // 16
    wells[np.ix_(every, every)] = True
    q = np.zeros((len(pumped), n, n))
    for s, (i, j) in enumerate(pumped):
        q[s, i, j] = -1.0
    return field / field.std(), q, wells


def graded(edge: float, end: float, m: int, least: float) -> np.ndarray:
    """2m + 1 nodes from 0 to `end`, `least` apart at `edge`; on either side steps grow by one factor."""

    def away(length: float) -> np.ndarray:
        b = brentq(lambda b: length * np.expm1(b / m) - least * np.expm1(b), 1e-6, 50)
        return length * np.expm1(b * np.arange(m + 1) / m) / np.expm1(b)

    return np.concatenate([[0.0], edge - away(edge)[-2:0:-1], edge + away(end - edge)])


def microstrip(w: float, eps: float) -> float:
    """Ohms of a strip w heights of the board wide: Hammerstad & Jensen, Accurate models for microstrip CAD, 1980."""
    f = 6 + (2 * np.pi - 6) * np.exp(-((30.666 / w) ** 0.7528))
    air = 376.730 / (2 * np.pi) * np.log(f / w + np.sqrt(1 + (2 / w) ** 2))
    a = 1 + np.log((w**4 + (w / 52) ** 2) / (w**4 + 0.432)) / 49 + np.log(1 + (w / 18.1) ** 3) / 18.7
    b = 0.564 * ((eps - 0.9) / (eps + 3)) ** 0.053
    return air / np.sqrt((eps + 1) / 2 + (eps - 1) / 2 * (1 + 10 / w) ** (-a * b))


def rossby_haurwitz(lon: np.ndarray, lat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Streamfunction in m^2/s and vorticity in 1/s: Williamson et al. 1992, test case 6."""
    a, omega, K, R = 6.37122e6, 7.848e-6, 7.848e-6, 4  # the earth's radius in m, 1/s, 1/s, waves
    ripple = K * np.cos(lat) ** R * np.sin(lat) * np.cos(R * lon)
    return a**2 * (ripple - omega * np.sin(lat)), 2 * omega * np.sin(lat) - (R**2 + 3 * R + 2) * ripple


def fin(r: np.ndarray, z: np.ndarray, biot: float, length: float, terms: int = 60) -> np.ndarray:
    """-Lap T = 0, T = 1 at z = 0, dT/dr = -biot T at r = 1, dT/dz = 0 at z = length: Carslaw & Jaeger, chapter 8.

    sum_k C_k J0(alpha_k r) cosh(alpha_k (length - z)) / cosh(alpha_k length), alpha J1(alpha) = biot J0(alpha)
    """
    T = np.zeros((len(r), len(z)))
    for low, high in zip(np.r_[0, jn_zeros(1, terms - 1)], jn_zeros(0, terms), strict=True):
        alpha = brentq(lambda x: x * j1(x) - biot * j0(x), low, high)
        decay = (np.exp(-alpha * z) + np.exp(-alpha * (2 * length - z))) / (1 + np.exp(-2 * alpha * length))
        T += 2 * biot / ((alpha**2 + biot**2) * j0(alpha)) * np.outer(j0(alpha * r), decay)
    return T
