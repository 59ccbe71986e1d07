"""The size and the order of the package, read from its source.

    python benchmarks/house.py [CHECKOUT] [--compare OTHER] [--violations]

Nothing of the package is imported. The lines of a function run from its `def` to its end, without the docstring. An import inside a
function or for the type checker counts as an import. A circle is a set of files of which each imports every other one, directly or
through others.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
PACKAGE = "sisso_sal"

MODULE_LINES = 450
FUNCTION_LINES = 60
ARGUMENTS = 8
"""Limits of STYLE: lines of a module and of a function, arguments of a function outside cli/."""


@dataclass(frozen=True)
class Function:
    """One function, method or nested function.

    Attributes
    ----------
    module, name : str
        Such as ``sisso_sal.engine.screen`` and ``Top.merge``.
    lines : int
        From its ``def`` to its end, without decorators and docstring.
    n_arguments : int
        All of them but ``self`` and ``cls``; ``*args`` and ``**kwargs`` count as one each.
    bound : frozenset of str
        Names that it binds itself; those of functions inside it do not count.
    """

    module: str
    name: str
    lines: int
    n_arguments: int
    bound: frozenset[str]

    @property
    def place(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True)
class House:
    """What one checkout holds.

    Attributes
    ----------
    modules : dict
        Module name -> lines of its file; a package has those of its ``__init__.py``.
    packages : set of str
    functions : list of Function
    imports : dict
        Module name -> names of modules of the package that it imports anywhere.
    classes : dict
        Class name -> modules that define it at their top level.
    """

    modules: dict[str, int] = field(default_factory=dict)
    packages: set[str] = field(default_factory=set)
    functions: list[Function] = field(default_factory=list)
    imports: dict[str, set[str]] = field(default_factory=dict)
    classes: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def read(checkout: Path) -> House:
    """The package in a checkout, without importing it.

    Raises
    ------
    SystemExit
        There is no package.
    """
    files = {_module(path.relative_to(checkout)): path for path in sorted((checkout / PACKAGE).rglob("*.py"))}
    if not files:
        raise SystemExit(f"{checkout}: needs a checkout with the folder {PACKAGE}")
    house = House()
    for module, path in files.items():
        text = path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        house.modules[module] = len(text.splitlines())
        house.packages.update([module] if path.name == "__init__.py" else [])
        house.functions.extend(_functions(tree, module))
        house.imports[module] = set(_imports(tree, module, module in house.packages, set(files))) - {module}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                house.classes[node.name].append(module)
    return house


def _module(path: Path) -> str:
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _functions(node: ast.AST, module: str, prefix: str = "") -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield _function(child, module, prefix + child.name, isinstance(node, ast.ClassDef))
        is_named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        yield from _functions(child, module, f"{prefix}{child.name}." if is_named else prefix)


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef, module: str, name: str, is_method: bool) -> Function:
    lines = (node.end_lineno or node.lineno) - node.lineno + 1
    if ast.get_docstring(node, clean=False) is not None:
        lines -= (node.body[0].end_lineno or 0) - node.body[0].lineno + 1
    arguments = node.args
    named = [*arguments.posonlyargs, *arguments.args]
    if is_method and named and named[0].arg in {"self", "cls"}:
        named = named[1:]
    count = len(named) + len(arguments.kwonlyargs) + (arguments.vararg is not None) + (arguments.kwarg is not None)
    return Function(module, name, lines, count, frozenset(_bound(node)))


def _bound(node: ast.AST) -> Iterator[str]:
    """Names that are bound in a function itself, also in its comprehensions; not in functions or classes inside it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            continue
        if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id
        elif isinstance(child, ast.arg):
            yield child.arg
        elif isinstance(child, ast.ExceptHandler) and child.name:
            yield child.name
        yield from _bound(child)


def _imports(tree: ast.AST, module: str, is_package: bool, known: set[str]) -> Iterator[str]:
    """Modules of the package that a file imports; of ``from package import name`` the module ``package.name`` where it is one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: None if is_package and node.level == 1 else -(node.level - is_package)]
                base = ".".join([*above, *([base] if base else [])])
            for alias in node.names:
                below = f"{base}.{alias.name}"
                yield from (name for name in [below if below in known else base] if name in known)


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Sets of files that import each other: strongly connected components of more than one file (Tarjan, SIAM J. Comput. 1972).

    Examples
    --------
    >>> circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}})
    [['a', 'b', 'c']]
    """
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    components: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = low[name] = len(number)
        open_.append(name)
        for other in sorted(imports.get(name, ())):
            if other not in number:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in open_:
                low[name] = min(low[name], number[other])
        if low[name] == number[name]:
            component = open_[open_.index(name) :]
            del open_[open_.index(name) :]
            if len(component) > 1:
                components.append(sorted(component))

    for name in sorted(imports):
        if name not in number:
            visit(name)
    return sorted(components)


def violations(house: House) -> dict[str, str]:
    """What is over a limit: place -> words, such as ``sisso_sal.a: 460 lines``."""
    over = {
        module: f"{lines} lines, at most {MODULE_LINES}"
        for module, lines in house.modules.items()
        if lines > MODULE_LINES
    }
    for function in house.functions:
        if function.lines > FUNCTION_LINES:
            over[function.place] = f"{function.lines} lines, at most {FUNCTION_LINES}"
        if function.n_arguments > ARGUMENTS and not function.module.startswith(f"{PACKAGE}.cli"):
            over[f"{function.place}()"] = f"{function.n_arguments} arguments, at most {ARGUMENTS}"
    for circle in circles(house.imports):
        over[" ".join(circle)] = "a circle of imports"
    return over


def rows(house: House) -> list[tuple[str, str]]:
    """The table: what is counted, and its value."""
    module = max(house.modules, key=lambda name: house.modules[name])
    longest = max(house.functions, key=lambda function: function.lines)
    outside = [function for function in house.functions if not function.module.startswith(f"{PACKAGE}.cli")]
    widest = max(outside, key=lambda function: function.n_arguments)
    rings = circles(house.imports)
    repeated = {name: where for name, where in house.classes.items() if len(where) > 1}
    top = [name for name in house.modules if name.count(".") == 1 and name not in house.packages]
    return [
        ("modules", str(len(house.modules))),
        ("lines", str(sum(house.modules.values()))),
        ("longest module", f"{house.modules[module]}, {_short(module)}"),
        (f"modules over {MODULE_LINES} lines", str(sum(lines > MODULE_LINES for lines in house.modules.values()))),
        ("longest function", f"{longest.lines}, {_short(longest.place)}"),
        (f"functions over {FUNCTION_LINES} lines", str(sum(f.lines > FUNCTION_LINES for f in house.functions))),
        ("functions over 40 lines", str(sum(f.lines > 40 for f in house.functions))),
        ("most arguments outside cli", f"{widest.n_arguments}, {_short(widest.place)}"),
        (f"functions over {ARGUMENTS} arguments outside cli", str(sum(f.n_arguments > ARGUMENTS for f in outside))),
        ("circles of files", f"{len(rings)}" + "".join(f"; {' '.join(map(_short, ring))}" for ring in rings)),
        ("top-level modules", f"{len(top)}, {' '.join(map(_short, top))}"),
        ("functions that bind `found`", str(sum("found" in f.bound for f in house.functions))),
        ("class names defined more than once", f"{len(repeated)}" + (f", {' '.join(sorted(repeated))}" if repeated else "")),
        ("files called pareto.py", str(sum(name.endswith(".pareto") for name in house.modules))),
    ]  # fmt: skip


def _short(name: str) -> str:
    return name.removeprefix(f"{PACKAGE}.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path, nargs="?", default=HERE, help="by default the one of this file")
    parser.add_argument("--compare", type=Path, metavar="OTHER", help="a second checkout, shown beside it")
    parser.add_argument("--violations", action="store_true", help="list what is over a limit")
    arguments = parser.parse_args()
    house = read(arguments.checkout)
    if arguments.violations:
        for place, words in violations(house).items():
            print(f"{place}: {words}")
        return
    columns = [rows(house)] + ([rows(read(arguments.compare))] if arguments.compare else [])
    head = ["", arguments.checkout.resolve().name, *([arguments.compare.resolve().name] if arguments.compare else [])]
    body = [[cells[0][0], *(value for _, value in cells)] for cells in zip(*columns, strict=True)]
    for line in [head, ["---"] * len(head), *body]:
        print(f"| {' | '.join(line)} |")


if __name__ == "__main__":
    main()
