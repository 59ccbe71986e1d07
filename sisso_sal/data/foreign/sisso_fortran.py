"""Inputs of the Fortran program SISSO: SISSO.in, train.dat and the units of primary features, versions 2 to 3.5.

Keywords and their later names: Changelog and templates of SISSO (R. Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018)).
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from sisso_sal.data.cells import shown
from sisso_sal.data.foreign.translation import ForeignInput, Translation, distinct, read_lines, unit_free
from sisso_sal.errors import InputError

OPERATORS = {
    "+": "add", "-": "sub", "*": "mult", "/": "div", "exp": "exp", "exp-": "neg_exp", "^-1": "inv", "^2": "sq", "^3": "cb",
    "sqrt": "sqrt", "cbrt": "cbrt", "log": "log", "|-|": "abs_diff", "^6": "six_pow", "sin": "sin", "cos": "cos",
}  # fmt: skip
NOT_UNITLESS = ("exp", "neg_exp", "log", "sin", "cos")
LARGEST_RUNG = 3
DEFAULT_COMPLEXITY = 3
_TECHNICAL = (
    "restart", "fstore", "ndimtype", "fs_size_di", "fs_size_l0", "nl1l0", "l1l0_size4l0", "isconvex", "bwidth", "width",
    "l1para.nl1l0", "l1para.max_iter", "l1para.tole", "l1para.nlambda", "l1para.dens", "l1para.minrmse", "l1para.warm_start",
    "l1para.elastic", "l1para.weighted",
)  # fmt: skip


def read_sisso_fortran(path: Path, task: str | None = None) -> ForeignInput:
    """Read SISSO.in and the train.dat beside it.

    Parameters
    ----------
    path : path
        SISSO.in.
    task : str, optional
        Number of the task to take, from 1.

    Raises
    ------
    InputError
        A file is missing or damaged, or asks for classification, or for several tasks while `task` is None.
    """
    said = Translation(path, _keywords(path))
    _refuse_other_work(said)
    first, n_samples = _samples(said, task)
    data = path.parent / "train.dat"
    names, records = _train_data(data)
    n_features = said.parsed("nsf", int, said.take("nsf")[1] or len(names) - 2)
    if not 0 < n_features <= len(names) - 2:
        raise InputError(f"{data}: needs {n_features} features (nsf), found {len(names) - 2} in the header")
    records = _rows(data, records, n_features, first, n_samples)
    units = _units(said, n_features)
    _operators(said, has_units=any(units))
    _size_of_space(said)
    _search(said)
    said.ignore("no meaning here", *_TECHNICAL)
    said.rest()
    features = [
        f"{unit_free(name)} ({unit})" if unit else unit_free(name) for name, unit in zip(names[2:], units, strict=False)
    ]
    header = (unit_free(names[0]) or "sample", unit_free(names[1]), *features)
    said.settings |= {"target": header[1], "id": header[0]}
    ids = distinct([row[0] for row in records])
    return ForeignInput(
        program="SISSO", files=(str(path), str(data)), header=header, settings=said.settings, mapped=tuple(said.mapped),
        rows=[[id, *row[1:]] for id, row in zip(ids, records, strict=True)], without_counterpart=tuple(said.without),
    )  # fmt: skip


def _keywords(path: Path) -> dict[str, str]:
    """Lower-case keywords and their values as text, comments and quotation marks around the whole left out."""
    keywords: dict[str, str] = {}
    for line in read_lines(path):
        key, equals, value = line.partition("!")[0].partition("=")
        if equals and value.strip():
            keywords[key.strip().lower()] = value.strip()
    if not keywords:
        raise InputError(f"{path}: needs lines 'keyword = value', found none")
    return keywords


def _refuse_other_work(said: Translation) -> None:
    name, kind = said.take("ptype")
    if kind is not None and kind.strip("'\"").lower() not in {"1", "quanti"}:
        raise InputError(
            f"{said.path}: {name}={kind}: needs a regression, found a classification, which is not supported"
        )
    name, part = said.take("calc", "task")
    if part is not None and part.strip("'\"").upper() != "FCDI":
        said.without.append(f"{name}={part}: feature construction and model search are always done in one run")
    name, scheme = said.take("scmt")
    if scheme is not None and "t" in scheme.lower():
        said.without.append(f"{name}={scheme}: the sign of a coefficient cannot be prescribed")


def _samples(said: Translation, task: str | None) -> tuple[int, int | None]:
    """Number of the first row of train.dat to take, and how many; all where that is not said."""
    name, text = said.take("ntask", "nprop")
    n_tasks = said.parsed(name, int, text or "1")
    said.take("task_weighting")
    _, text = said.take("nsample")
    sizes = [said.parsed("nsample", int, part) for part in re.split(r"[,\s]+", text.strip())] if text else []
    if n_tasks == 1 and task is None:
        return 0, sizes[0] if sizes else None
    if task is None:
        raise InputError(f"{said.path}: {name}={n_tasks}: needs one task at a time; choose with --task 1 to {n_tasks}")
    chosen = said.parsed("task", int, task)
    if not 1 <= chosen <= n_tasks or len(sizes) < n_tasks:
        raise InputError(f"{said.path}: task: needs a number from 1 to {min(n_tasks, len(sizes))}, found {task}")
    if n_tasks > 1:
        said.without.append(f"{name}={n_tasks}: several tasks are not fitted together here; only task {chosen} is used")
    return sum(sizes[: chosen - 1]), sizes[chosen - 1]


def _train_data(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names in the header, and (line number, cells) of each row; spaces, tabs and commas separate."""
    lines = [
        (n, re.split(r"[,\s]+", line.strip().strip(","))) for n, line in enumerate(read_lines(path), 1) if line.strip()
    ]
    if len(lines) < 2 or len(lines[0][1]) < 3:
        raise InputError(f"{path}: needs a header (sample, property, features) and rows, found {len(lines)} lines")
    return lines[0][1], lines[1:]


def _rows(
    path: Path, records: list[tuple[int, list[str]]], n_features: int, first: int, n_samples: int | None
) -> list[list[str]]:
    wanted = records[first:] if n_samples is None else records[first : first + n_samples]
    if n_samples is not None and len(wanted) < n_samples:
        raise InputError(f"{path}: needs {first + n_samples} samples (nsample), found {len(records)}")
    rows = []
    for number, cells in wanted:
        if len(cells) < n_features + 2:
            raise InputError(
                f"{path}: line {number}: needs a name, a property and {n_features} features, found {len(cells)} cells"
            )
        rows.append([cells[0], *(_number(path, number, cell) for cell in cells[1 : n_features + 2])])
    return rows


def _number(path: Path, line: int, cell: str) -> str:
    """A cell as this program reads numbers; Fortran also writes 1.5D-3."""
    text = re.sub("[dD]", "e", cell)
    try:
        float(text)
    except ValueError:
        raise InputError(f"{path}: line {line}: needs a number, found {shown(cell)}") from None
    return text


def _units(said: Translation, n_features: int) -> list[str]:
    """The unit of each feature, "" for none: groups of one unit each, or a file with a row of exponents for each feature."""
    name, text = said.take("funit", "dimclass")
    for file in (said.path.parent / "feature_units", said.path.parent / "pfdimension"):
        if file.is_file():
            said.mapped.append((file.name, "units of the features"))
            return _units_from_file(file, n_features)
    units = [""] * n_features
    for number, (start, end) in enumerate(re.findall(r"\(\s*(\d+)\s*:\s*(\d+)\s*\)", text or ""), 1):
        for place in range(int(start) - 1, min(int(end), n_features)):
            units[place] = f"unit{number}"
    if text:
        said.mapped.append((f"{name}={text}", "units unit1, unit2, … in the header; rename them to real ones there"))
    return units


def _units_from_file(path: Path, n_features: int) -> list[str]:
    rows = [line.split() for line in read_lines(path) if line.strip()]
    if len(rows) < n_features:
        raise InputError(f"{path}: needs {n_features} rows, one for each feature, found {len(rows)}")
    units = []
    for number, row in enumerate(rows[:n_features], 1):
        powers = [Fraction(_number(path, number, cell)).limit_denominator(60) for cell in row]
        factors = [f"unit{k}" if power == 1 else f"unit{k}**({power})" for k, power in enumerate(powers, 1) if power]
        units.append("*".join(factors))
    return units


def _operators(said: Translation, *, has_units: bool) -> None:
    name, text = said.take("ops", "opset")
    if text is None:
        raise InputError(f"{said.path}: needs operators (ops or opset), found none")
    sets = [re.findall(r"\(([^()]+)\)", part) for part in re.findall(r"'([^']*)'", text) or [text]]
    named = list(dict.fromkeys(symbol.strip() for symbols in sets for symbol in symbols))
    if any(set(symbols) != set(sets[0]) for symbols in sets):
        said.without.append(f"{name}={text}: every rung gets all of these operators, not a set of its own")
    for symbol in named:
        if symbol not in OPERATORS:
            said.without.append(f"({symbol}): there is no such operator here; left out")
    operators = tuple(OPERATORS[symbol] for symbol in named if symbol in OPERATORS)
    if not operators:
        raise InputError(f"{said.path}: {name}: needs operators such as '(+)(-)(*)(/)', found {shown(text)}")
    said.set("operators", operators, f"{name}={text}")
    if has_units and (strict := [operator for operator in operators if operator in NOT_UNITLESS]):
        said.without.append(
            f"{', '.join(strict)}: SISSO allows a quantity with a unit as the argument; here it must have none"
        )


def _size_of_space(said: Translation) -> None:
    """Rung and complexity: SISSO 3.1 and later derive the rung from the number of operators."""
    name, text = said.take("fcomplexity", "maxcomplexity")
    complexity = DEFAULT_COMPLEXITY if text is None else said.parsed(name, int, text)
    _, chosen = said.take("rung")
    rung = complexity.bit_length() if chosen is None else said.parsed("rung", int, chosen)
    said_of_complexity = f"{name}={text}" if text else "fcomplexity is not given"
    if rung > LARGEST_RUNG:
        said.without.append(f"{said_of_complexity}: would need rung {rung}; rung {LARGEST_RUNG} is taken")
        rung = LARGEST_RUNG
    said.set("rung", rung, said_of_complexity if chosen is None else f"rung={chosen}")
    if complexity < 2**rung - 1:
        said.set("max_complexity", complexity, said_of_complexity)
    for option, names, default in (
        ("min_abs", ("fmax_min", "maxfval_lb"), 1e-3),
        ("max_abs", ("fmax_max", "maxfval_ub"), 1e5),
    ):
        if said.number(option, float, *names) is None:
            said.set(option, default, f"{names[0]} is not given")


def _search(said: Translation) -> None:
    if said.number("dim", int, "desc_dim") is None:
        said.set("dim", 2, "desc_dim is not given")
    name, text = said.take("nf_sis", "subs_sis")
    sizes = [said.parsed(name, int, part) for part in re.split(r"[,\s]+", (text or "").strip()) if part]
    if sizes:
        said.set("n_sis", max(sizes), f"{name}={text}")
        if len(set(sizes)) > 1:
            said.without.append(f"{name}={text}: every screening keeps the same number, {max(sizes)}")
    else:
        said.without.append(f"{name} is not given, and its default depends on the version of SISSO: 50 is taken")
    said.set("n_residual", 1, "SISSO screens with the residual of the best model")
    name, text = said.take("fit_intercept")
    if text is not None and "f" in text.lower():
        said.set("intercept", False, f"{name}={text}")
    name, text = said.take("method_so", "method")
    if text is not None and text.strip("'\" ").upper() != "L0":
        said.without.append(f"{name}={text}: the sparsifying operator is L0 alone, without LASSO")
    name, text = said.take("metric")
    if text is not None and not text.strip("'\" ").upper().endswith("RMSE"):
        said.without.append(f"{name}={text}: models are ranked by RMSE")
    name, text = said.take("nmodel", "nmodels", "nm_output")
    if text is not None:
        said.without.append(f"{name}={text}: the best model of each dimension is kept")
