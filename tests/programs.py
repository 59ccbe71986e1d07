"""Programs beside the package, such as those in benchmarks/, as modules for tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[1]


def program(name: str) -> ModuleType:
    """The module of a file below the root of the checkout, such as ``benchmarks/same.py``; it is run anew."""
    path = ROOT / name
    spec = importlib.util.spec_from_file_location(f"program_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
