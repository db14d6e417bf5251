"""An inverse problem

Where does the ground conduct water? Some wells are pumped, one at a time, and the heads measured at all, beside a river
at 0: -div(k grad u) = q. log k is fitted to them and kept smooth, by gradients that torch takes through `solve` for one
more solve each. By scipy one derives the adjoint equation by hand; finite differences would take a solve a pixel.
"""

from functools import partial

import numpy as np
import torch
from by_hand import adjoint
from data import aquifer, pixels
from drawing import Panel, figure, save
from network import end_layers
from race import Race, Tool
from scipy.optimize import minimize

from mgnet.pde import solve

NOISE, SMOOTH = 0.02, 2.0


def heads(k, q):
    return solve(q, grid=pixels(k.shape), a=k, fixed=(end_layers(k.shape)[0], 0.0)).u


def by_torch(m, q, wells, measured):
    """What is made small, and its gradient by m = log k."""
    m, q, measured = torch.tensor(m, requires_grad=True), torch.as_tensor(q), torch.as_tensor(measured)
    log_k = m.reshape(wells.shape)
    apart = (heads(log_k.exp(), q)[:, wells] - measured) / NOISE
    misfit = apart.square().sum() / 2 + SMOOTH / 2 * sum(log_k.diff(dim=d).square().sum() for d in (0, 1))
    misfit.backward()
    return misfit.item(), m.grad.numpy()


def main(n=96, steps=50):
    truth, q, wells = aquifer(n)
    exact = heads(np.exp(truth), q)[:, wells]
    data = q, wells, exact + NOISE * np.random.default_rng(1).normal(size=exact.shape)
    by_hand = Tool("Adjoint by hand, splu", "scipy", partial(adjoint, noise=NOISE, smooth=SMOOTH))
    race = Race((np.zeros(n * n), *data), by_torch, [by_hand])
    (_, ours), (_, theirs) = race.answers
    assert abs(ours - theirs).max() < 1e-4 * abs(theirs).max()

    fit = minimize(by_torch, np.zeros(n * n), data, jac=True, method="L-BFGS-B", options={"maxiter": steps})
    found = fit.x.reshape(n, n)
    alike = np.corrcoef(found.ravel(), truth.ravel())[0, 1]
    assert alike > 0.6
    how = {"cmap": "BrBG", "vmin": -3, "vmax": 3}
    drawn, axes = figure(Panel(truth, "Truth, and wells", "log k", how), Panel(found, "Found", "log k", how))
    axes[0].plot(*np.nonzero(wells)[::-1], "k.", markersize=3)
    save(drawn, __file__)
    told = f"After {fit.nfev} gradients log k correlates with the truth by {alike:.2f}."
    return race.tell(f"A gradient by {n} x {n} pixels, {len(q)} wells pumped", told)


if __name__ == "__main__":
    main()
