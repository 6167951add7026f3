"""How much of ONNX's test suite passes: `python -m tests.onnx [LIST …]`."""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import unittest
import warnings

from tests.onnx import suite
from tests.styles import STYLES


def outcome(name: str, style: str) -> str:
    """What became of a case: nothing to tell if it passed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            suite.run(name, style)
    except unittest.SkipTest as error:
        return f"skipped: {error}"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.onnx", description=__doc__)
    parser.add_argument("lists", nargs="*", help=f"of {', '.join(suite.LISTS)}; all by default")
    parser.add_argument("-k", default="", help="only cases with this in their name")
    parser.add_argument("--style", choices=STYLES, default="functional")
    parser.add_argument("-v", action="store_true", help="tell what each failure is")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ONNX_HOME"] = folder
        for listed in options.lists or suite.LISTS:
            names = [name for name in suite.names((listed,)) if options.k in name]
            started = time.perf_counter()
            failed = {name: told for name in names if (told := outcome(name, options.style))}
            seconds = time.perf_counter() - started
            print(f"{listed}: {len(names) - len(failed)} of {len(names)} pass, {seconds:.0f} s")
            for name, told in failed.items() if options.v else ():
                print(f"  {name}: {told}")


if __name__ == "__main__":
    main()
