"""Builds the compiled kernels of mgnet.pde with CMake: for a wheel, an editable installation, or in place.

python hatch_build.py        compile what has changed, in place (needs cmake, ninja and nanobind)

CMAKE_ARGS, from the environment, are arguments of the configuration; BUILD is where to compile, if not in build/native.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run as a script
    BuildHookInterface = object

KERNELS = Path("mgnet", "pde", "native")
NO_COMPILER = "mgnet's kernels need a C++17 compiler, and there is none: install g++ or clang++, or set CXX to one."


def compile_kernels(root: Path, build: Path) -> Path:
    """Configure, compile, and copy the extension module to its package; returns where it is."""
    if not any(map(shutil.which, ((os.environ.get("CXX") or "c++").split()[0], "c++", "g++", "clang++"))):
        raise SystemExit(NO_COMPILER)
    source = root / KERNELS
    run = [sys.executable, "-m", "cmake"]
    configure = ["-S", str(source), "-B", str(build), "-G", "Ninja", f"-DPython_EXECUTABLE={sys.executable}"]
    configure += shlex.split(os.environ.get("CMAKE_ARGS", ""))
    ninja = shutil.which("ninja") or shutil.which("ninja", path=str(Path(sys.executable).parent))
    for command in (configure + ([f"-DCMAKE_MAKE_PROGRAM={ninja}"] if ninja else []), ["--build", str(build)]):
        if subprocess.run(run + command, check=False).returncode:
            raise SystemExit("mgnet's kernels did not compile; the compiler's messages are above.")
    (made,) = (path for path in build.glob("_native*") if path.suffix in (".so", ".pyd"))
    for old in source.glob(f"_native*{made.suffix}"):
        old.unlink()  # a process that has loaded it keeps its own
    return Path(shutil.copy2(made, source))


class CompiledKernels(BuildHookInterface):
    """What hatchling calls before it packs a wheel."""

    def initialize(self, version: str, build_data: dict) -> None:
        root = Path(self.root)
        with tempfile.TemporaryDirectory() as fresh:
            made = compile_kernels(root, root / "build" / "native" if version == "editable" else Path(fresh))
        build_data["pure_python"], build_data["infer_tag"] = False, True
        build_data["artifacts"].append(made.relative_to(root).as_posix())


if __name__ == "__main__":
    here = Path(__file__).resolve().parent
    compile_kernels(here, here / "build" / os.environ.get("BUILD", "native"))
