#!/usr/bin/env python3
"""Write the reference cases of the conformance runner.

    python3 tests/conformance/generate.py [--out DIR] [op ...]

Without names every operation is written, one file DIR/<op>.json each; DIR is `cases` beside this file unless told
otherwise. Needs numpy, PyTorch and scikit-learn (Debian: python3-torch, python3-sklearn). The output is the same on
every run: each operation draws its data from a generator seeded by its own name.

The reference shares no code with the package. Every value is computed in float64, and every gradient by PyTorch's
autograd, on a forward pass written out in elementary operations. Forward results are compared with PyTorch's or
scikit-learn's own implementation where there is one that keeps its precision on the data (not at large offsets); an
assertion stops the run when they disagree.
"""

import argparse
import os
import pathlib
import sys

# One thread, before numpy is loaded: several would add up in an order of their own on every run.
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from reference import OPERATIONS  # noqa: E402  (needs the path above)
from reference.cases import write  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description="Write the reference cases of the conformance runner.")
    parser.add_argument("--out", type=pathlib.Path, default=HERE / "cases", help="folder to write to")
    parser.add_argument("--list", action="store_true", help="print the names of the operations and stop")
    parser.add_argument("op", nargs="*", help="operations to write (default: all)")
    arguments = parser.parse_args()

    unknown = [name for name in arguments.op if name not in OPERATIONS]
    if unknown:
        parser.error(f"unknown operation {', '.join(unknown)}; known: {', '.join(OPERATIONS)}")
    if arguments.list:
        print("\n".join(OPERATIONS))
        return

    arguments.out.mkdir(parents=True, exist_ok=True)
    for name in arguments.op or OPERATIONS:
        cases = OPERATIONS[name]()
        size = write(arguments.out / f"{name}.json", cases)
        errors = sum("error" in case["outputs"] for case in cases)
        print(f"{name}: {len(cases)} cases ({errors} of them errors), {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
