"""Compile every kernel launch of small problems for a Hopper GPU, on a machine without one; prints a line each.

    python -m tests.pde.cuda_compile      kernel, seconds, registers, bytes of stack and of shared memory

Launches go to the compiler instead of a device, with the arguments that a GPU would get. Run without
``TRITON_INTERPRET``; ``test_cuda_compile.py`` does.
"""

import re
import subprocess
import tempfile
import time
from itertools import product
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget

from mgnet.pde import Grid, Poisson
from mgnet.pde.blackbox import coarse_operators, from_diffusion
from mgnet.pde.blackbox.hierarchy import READABLE
from mgnet.pde.blackbox.interpolation import Coarsening
from mgnet.pde.cuda import coarsening, interpolant, krylov, level, setup, stencil
from mgnet.pde.cuda.blackbox import CudaBlackBox, cuda_levels, dot
from mgnet.pde.cuda.level import CudaLevel, Interpolant, inner
from mgnet.pde.cuda.tables import described
from mgnet.pde.levels.grids import grids
from mgnet.pde.levels.smoothers import steps
from mgnet.pde.levels.transfers import Transfer


class Hopper:
    """Stands in for Triton's driver: a GPU that can be compiled for, not run on."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


class Compiler:
    """Stands in for a kernel: a launch compiles it, once for each kind of arguments."""

    def __init__(self, kernel, seen):
        self._kernel, self._seen = kernel, seen

    def __getitem__(self, grid):
        def launch(*arguments, **named):
            begun = time.perf_counter()
            compiled = self._kernel.warmup(*arguments, grid=grid, **named)
            if compiled.hash not in self._seen:
                self._seen.add(compiled.hash)
                on = ", ".join(k for k, v in named.items() if v is True and k.isupper())
                name = self._kernel.__name__
                print(f"{name:12} {time.perf_counter() - begun:5.1f} s  {usage(compiled)}  {on}", flush=True)

        return launch


def usage(compiled):
    """Registers, stack and shared memory, from the machine code."""
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        text = subprocess.run([tool, "-res-usage", file.name], capture_output=True, text=True, check=True).stdout
    return " ".join(re.findall(r"(?:REG|STACK|SHARED):\d+", text))


def constant(shape, bc, smoother, dtype, starts=3):
    """Passes of a level with constant coefficients, from that many kinds of iterate: zero, an array, an interpolant."""
    axes, a = Grid(shape, bc=bc).axes, (1.0,) * len(shape)
    transfer = Transfer(*grids(axes, a, 100)[:2])
    both = steps(smoother, (2, 2), len(shape), False, 0.0)
    one = CudaLevel(described(transfer, a, 0.0), inner(axes, a, 0.0), both, torch.zeros((), dtype=dtype), 1)
    u, f, e = (torch.zeros(s, dtype=dtype) for s in (one.shape, one.shape, one.coarse_shape))
    for v in (None, u, Interpolant(e, e))[:starts]:
        one.down(v, f, None)
        one.up(v, f, None, e)
    if starts < 3:  # the ends and the smoother are new, the rest is not
        return
    one.residuals(u, f)
    one.restrict(f, e)
    one.measure = True
    for one.omega in (1.0, 1.2):
        one.up(u, f, None, e)


def variable(shape, dtypes):
    """All kernels of a black-box hierarchy, for pairs (dtype of the data, of the levels)."""
    A = Poisson(Grid(shape), lambda *x: 1 + x[0]).A.flattened(())
    stencil = from_diffusion(A)
    coarsening.coarsen(stencil, stencil.unit()[1], [Coarsening(n, False, 1) for n in shape], False)
    operators, _ = coarse_operators(stencil, A.axes)
    for one in cuda_levels(operators, torch.zeros(()), (2, 2), "chebyshev")[:-1]:
        f = torch.zeros((1, *one._A.shape))
        one.up(one.down(None, f, None)[0], f, None, torch.zeros((1, *one._P.coarse_shape)))
    for dtype, precision in dtypes:
        b, one = torch.zeros((1, *shape), dtype=dtype), torch.ones(1, dtype=torch.float64)
        system = CudaBlackBox(A.like(b), b, precision=precision)
        system.begin(None, b)
        system.z = system.r
        for _ in range(2):
            system.direct(one)
            system.step(one)
        dot(system.r, system.z)


def main():
    triton.runtime.driver.set_active(Hopper())
    seen = set()
    level.march, interpolant.residual = Compiler(level.march, seen), Compiler(interpolant.residual, seen)
    CudaBlackBox.forms = CudaBlackBox.forms._replace(unit=READABLE.unit, coarsen=READABLE.coarsen)  # which is run
    for module, names in (
        (stencil, ("apply", "interpolate", "restrict")),
        (krylov, ("direct", "step", "dot")),
        (setup, ("weights", "product", "unit", "scaled")),
    ):
        for name in names:
            setattr(module, name, Compiler(getattr(module, name), seen))
    constant((40, 40), "dirichlet", "chebyshev", torch.float64)
    constant((40, 40), ["neumann", "periodic"], "chebyshev", torch.float32)
    constant((40, 40), "periodic", "chebyshev", torch.float64, starts=2)
    constant((40, 40), "neumann", "red-black", torch.float64, starts=2)
    constant((12, 12, 12), ["neumann", "periodic", "dirichlet"], "chebyshev", torch.float64, starts=2)
    variable((20, 20), product((torch.float64, torch.float32), repeat=2))
    variable((8, 8, 8), [(torch.float64, torch.float32)])
    print(f"compiled {len(seen)} kernels")


if __name__ == "__main__":
    main()
