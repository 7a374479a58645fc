"""`python -m tests.benchmarks [NAME…]`: measures how fast Second Order is and prints a Markdown table.

Every file of this folder with a function `rows` is a benchmark; without names all of them run. Nothing here passes or
fails: seconds depend on the machine, which is described above the table.
"""

import argparse
import importlib
import os
import platform
import sys
import traceback
from importlib.metadata import version
from pathlib import Path
from types import ModuleType


def found() -> dict[str, ModuleType]:
    """The benchmarks of this folder by name."""
    files = sorted(Path(__file__).parent.glob("[!_]*.py"))
    modules = {file.stem.replace("_", "-"): importlib.import_module(f"tests.benchmarks.{file.stem}") for file in files}
    return {name: module for name, module in modules.items() if hasattr(module, "rows")}


def machine() -> str:
    """One line: processor, cores and how busy they are, Python and the libraries that the figures depend on."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    processor = models[0] if models else platform.processor() or platform.machine()
    libraries = ", ".join(f"{name} {version(name)}" for name in ("jax", "numpy", "fastapi", "plotly"))
    load = f" (load {os.getloadavg()[0]:.1f})" if hasattr(os, "getloadavg") else ""
    python = f"{platform.system()}, Python {platform.python_version()}"
    return f"{processor}, {os.cpu_count()} cores{load}, {python}, {libraries}"


def main() -> None:
    benchmarks = found()
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(benchmarks)} (default: all)")
    names = parser.parse_args().names or list(benchmarks)
    if unknown := set(names) - set(benchmarks):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(benchmarks)}")

    print(f"{machine()}\n")
    print("| what | target | median (p95) | notes |\n| --- | --- | --- | --- |", flush=True)
    failed = False
    for name in names:
        print(f"{name} …", file=sys.stderr, flush=True)
        try:
            for row in benchmarks[name].rows():
                print(f"| {' | '.join(row)} |", flush=True)
        except Exception:
            # The others can still be measured.
            print(f"| {name} | | could not be measured | |", flush=True)
            traceback.print_exc()
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
