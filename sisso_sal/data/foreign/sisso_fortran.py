"""Inputs of the Fortran program SISSO: SISSO.in, train.dat and the units of primary features, versions 2 to 3.5.

Keywords and their later names: Changelog and templates of SISSO (R. Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018)). Values are
read as Fortran reads them, list-directed: the first item after the equals sign counts, and what follows is not read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from sisso_sal.data.cells import shown
from sisso_sal.data.foreign.list_directed import first, integer, items, logical, real
from sisso_sal.data.foreign.sisso_data import TrainData, units
from sisso_sal.data.foreign.sisso_samples import CLASS, TASK, SampleParts, free_name, parts_of, set_classes, set_tasks
from sisso_sal.data.foreign.translation import (
    ForeignInput,
    Translation,
    brief,
    distinct,
    header_of,
    of_dimensions,
    read_lines,
)
from sisso_sal.data.headers import split_header
from sisso_sal.errors import InputError

OPERATORS = {
    "+": "add", "-": "sub", "*": "mult", "/": "div", "exp": "exp", "exp-": "neg_exp", "^-1": "inv", "^2": "sq", "^3": "cb",
    "sqrt": "sqrt", "cbrt": "cbrt", "log": "log", "|-|": "abs_diff", "^6": "six_pow", "sin": "sin", "cos": "cos",
}  # fmt: skip
LARGEST_RUNG, LARGEST_SUBSPACE = 3, 10_000_000
DEFAULT_COMPLEXITY = 3
NAMES = {
    "--dim": "desc_dim", "--n-sis": "nf_sis", "--rung": "fcomplexity", "--max-complexity": "fcomplexity",
    "--min-abs": "fmax_min", "--max-abs": "fmax_max", "--max-features": "max_features in the settings of --out",
    "--criterion": "metric", "--same-sign": "scmt", "--convex": "isconvex", "--width": "bwidth",
}  # fmt: skip
"""The keyword for each option of this program."""

_TECHNICAL = (
    "fstore", "ndimtype", "fs_size_di", "fs_size_l0", "vf2sf",
    "l1para.max_iter", "l1para.tole", "l1para.nlambda", "l1para.dens", "l1para.minrmse", "l1para.warm_start",
    "l1para.elastic", "l1para.weighted", "l1_max_iter", "l1_tole", "l1_nlambda", "l1_dens", "l1_minrmse", "l1_warm_start",
    "l1_elastic", "l1_weighted",
)  # fmt: skip
_OF_LASSO = ("nl1l0", "l1l0_size4l0", "l1para.nl1l0")
_OF_CLASSES = ("isconvex", "bwidth", "width")
_OF_NUMBERS = ("fit_intercept", "metric")


def read_sisso_fortran(path: Path, task: str | None = None) -> ForeignInput:
    """Read SISSO.in and the train.dat beside it.

    Several tasks get a column with the number of each row's task, classes one with names.

    Parameters
    ----------
    path : path
        SISSO.in.
    task : str, optional
        Number of the one task to take, from 1.

    Raises
    ------
    InputError
        A file is missing or damaged, or has classes of several tasks while `task` is None.
    """
    said = _keywords(path)
    is_classes = _is_classes(said)
    _of_other_work(said)
    parts = parts_of(said, task, is_classes=is_classes)
    data = TrainData.read(path.parent / "train.dat", n_before=1 if is_classes else 2)
    n_features = data.n_features(said)
    records = data.samples(said, n_features, parts.begin, parts.n_samples)
    of_features = units(said, n_features)
    if any(of_features):
        said.set("units", "sisso", "SISSO takes exp, log, sin and cos of any quantity")
    _size_of_space(said)
    _operators(said)
    names = list(map(header_of, data.names[: n_features + data.n_before], (*[""] * data.n_before, *of_features)))
    column = free_name(CLASS if is_classes else TASK, [split_header(name)[0] for name in names])
    set_tasks(said, parts, column)
    _search(said, parts, len(records))
    said.rest()
    names, records = _with_parts(names, records, parts, column)
    said.settings |= {"target": split_header(names[1])[0], "id": split_header(names[0])[0]}
    ids = distinct([row[0] for row in records])
    return ForeignInput(
        program="SISSO", files=(str(path), str(data.path)), header=tuple(names), settings=said.settings,
        rows=[[id, *row[1:]] for id, row in zip(ids, records, strict=True)], mapped=tuple(said.mapped),
        without_counterpart=tuple(said.without), notes=tuple(said.notes), keywords=NAMES, options=said.options,
    )  # fmt: skip


def _with_parts(
    names: list[str], records: list[list[str]], parts: SampleParts, column: str
) -> tuple[list[str], list[list[str]]]:
    """Header and rows with the class as the target, or with the task in the last column."""
    if parts.is_classes:
        rows = [[row[0], name, *row[1:]] for row, name in zip(records, parts.of_rows, strict=True)]
        return [names[0], column, *names[1:]], rows
    if parts.are_tasks:
        return [*names, column], [[*row, name] for row, name in zip(records, parts.of_rows, strict=True)]
    return names, records


def _keywords(path: Path) -> Translation:
    """Lower-case keywords and their values as text, without comments; what is no keyword is noted."""
    keywords: dict[str, str] = {}
    twice, others, empty = [], [], []
    for line in read_lines(path):
        text = line.partition("!")[0].strip()
        if not text or text.startswith("#"):
            continue
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            others.append(text)
        elif not value:
            empty.append(key)
        else:
            key = key.lower()
            twice += [key] if key in keywords else []
            keywords[key] = value
    if not keywords:
        raise InputError(f"{path}: needs lines 'keyword = value', found none")
    said = Translation(path, keywords)
    said.mapped += [(f"{brief(key)}=", "without a value") for key in empty]
    if twice:
        said.notes.append(
            f"{brief(', '.join(dict.fromkeys(twice)))}: given more than once; the last value counts, as in SISSO"
        )
    if others:
        lines = "1 line" if len(others) == 1 else f"{len(others)} lines"
        said.notes.append(f"{lines} without '=': not read, as in SISSO; the first is {shown(others[0])}")
    return said


def _item(said: Translation, *names: str) -> tuple[str, str | None]:
    """The first of these keywords that was given, and its first item; None where there is none."""
    name, text = said.take(*names)
    item = None if text is None else first(text)
    return name, None if item is None else brief(item)


def _value(said: Translation, kind: Callable[[str], Any], *names: str) -> tuple[str, Any]:
    """The same with the item read as a value."""
    name, item = _item(said, *names)
    return name, None if item is None else said.parsed(name, kind, item)


def _number(said: Translation, option: str, kind: Callable[[str], Any], *names: str) -> Any:
    """Carry a number over to a setting; None where it was not given."""
    name, item = _item(said, *names)
    if item is None:
        return None
    number = said.parsed(name, kind, item)
    said.set(option, number, f"{name}={item}")
    return number


def _is_classes(said: Translation) -> bool:
    """Whether `ptype` asks for classification."""
    name, kind = _item(said, "ptype")
    number = {"quanti": 1, "quali": 2}.get((kind or "quanti").lower()) or said.parsed(name, integer, kind)
    if number not in (1, 2):
        raise InputError(f"{said.path}: {name}={kind}: needs 1 (regression) or 2 (classification), found {number}")
    if number == 2:
        said.option("classify", True, f"{name}={kind}")
    elif kind is not None:
        said.mapped.append((f"{name}={kind}", "regression"))
    return number == 2


def _of_other_work(said: Translation) -> None:
    name, part = _item(said, "calc", "task")
    if part is not None and part.upper() == "FCDI":
        said.mapped.append((f"{name}={part}", "as always"))
    elif part is not None:
        said.without.append(f"{name}={part}: feature construction and model search are always done in one run")
    name, restart = _item(said, "restart")
    if restart is not None:
        is_number = restart.lstrip("+-").isdigit()
        begins = not said.parsed(name, integer if is_number else logical, restart)
        said.mapped.append((f"{name}={restart}", "no meaning here" if begins else "the run starts anew"))
    name, number = _value(said, integer, "nvf")
    sizes_name, sizes = _item(said, "vfsize")
    if number:
        told = f" of size {sizes} ({sizes_name})" if sizes else ""
        said.without.append(
            f"{name}={number}: features that are vectors{told} are not read; only numbers (nsf) are used"
        )
    else:
        keys = ((name, number), (sizes_name, sizes))
        said.mapped += [(f"{key}={value}", "no vectors") for key, value in keys if value is not None]
    name, number = _value(said, integer, "npf_must")
    if number == 0:
        said.mapped.append((f"{name}=0", "all primary features are free"))
    elif number:
        said.without.append(f"{name}={number}: no primary feature can be prescribed; all are free")


def _operators(said: Translation) -> None:
    name, text = said.take("ops", "opset")
    if text is None:
        if not said.settings["rung"]:
            return
        raise InputError(f"{said.path}: needs operators (ops or opset), found none")
    most = max(1, said.settings["rung"]) if "," in text else 1
    lists = list(takewhile(lambda item: "(" in item, (item or "" for item in items(text, most))))
    sets = [[symbol.strip() for symbol in re.findall(r"\(([^()]+)\)", item)] for item in lists]
    named = list(dict.fromkeys(symbol for symbols in sets for symbol in symbols))
    if text.startswith("(") and text.count("(") > len(named):
        said.notes.append(
            f"{name}={brief(text)}: without quotation marks SISSO reads it up to the first blank, comma or slash; write {name}='…'"
        )
    unknown = [symbol for symbol in named if symbol not in OPERATORS]
    if unknown:
        said.without.append(f"{brief(', '.join(f'({symbol})' for symbol in unknown))}: no such operator here; left out")
    rungs = [tuple(OPERATORS[symbol] for symbol in dict.fromkeys(symbols) if symbol in OPERATORS) for symbols in sets]
    if not rungs or not all(rungs):
        raise InputError(f"{said.path}: {name}: needs operators such as '(+)(-)(*)(/)', found {shown(text)}")
    if len(rungs) < most:
        rungs += rungs[-1:] * (most - len(rungs))
    quoted = ",".join(f"'{item}'" for item in lists)
    are_equal = all(set(names) == set(rungs[0]) for names in rungs)
    said.set("operators", rungs[0] if are_equal else tuple(rungs), f"{name}={quoted}")


def _size_of_space(said: Translation) -> None:
    """Rung and complexity: SISSO 3.1 and later derive the rung from the number of operators."""
    name, complexity = _value(said, integer, "fcomplexity", "maxcomplexity")
    said_of_complexity = "fcomplexity is not given" if complexity is None else f"{name}={complexity}"
    complexity = DEFAULT_COMPLEXITY if complexity is None else complexity
    _, chosen = _value(said, integer, "rung")
    if complexity < 0 or (chosen or 0) < 0:
        raise InputError(f"{said.path}: {name}, rung: need 0 or more, found {min(complexity, chosen or 0)}")
    rung = complexity.bit_length() if chosen is None else chosen
    if rung > LARGEST_RUNG:
        told = said_of_complexity if chosen is None else f"rung={chosen}"
        said.without.append(f"{told}: would need rung {rung}; rung {LARGEST_RUNG} is taken")
        rung = LARGEST_RUNG
    said.set("rung", rung, said_of_complexity if chosen is None else f"rung={chosen}")
    if complexity < 2**rung - 1:
        said.set("max_complexity", complexity, said_of_complexity)
    elif chosen is not None and said_of_complexity != "fcomplexity is not given":
        said.mapped.append((said_of_complexity, f"no limit below that of rung {rung}"))
    for option, names, default in (
        ("min_abs", ("fmax_min", "maxfval_lb"), 1e-3),
        ("max_abs", ("fmax_max", "maxfval_ub"), 1e5),
    ):
        if _number(said, option, real, *names) is None:
            said.set(option, default, f"{names[0]} is not given")


def _search(said: Translation, parts: SampleParts, n_rows: int) -> None:
    if not parts.is_classes:
        name, has_intercept = _value(said, logical, "fit_intercept")
        if has_intercept is not None:
            said.set("intercept", has_intercept, f"{name}={'.true.' if has_intercept else '.false.'}")
    name, dim = _value(said, integer, "desc_dim")
    told = f"{name}={dim}"
    if dim is None:
        dim, told = 2, "desc_dim is not given"
    fewest = min(parts.sizes) if parts.are_tasks else n_rows
    terms = said.terms("desc_dim", dim, fewest, said.path.parent / "train.dat", parts.smallest)
    said.set("dim", terms, told)
    _size_of_subspace(said, dim)
    _decorrelation(said)
    if not parts.is_classes:
        said.set("n_residual", 1, "SISSO screens with the residual of the best model")
    name, method = _item(said, "method_so", "method")
    if method is not None and method.upper() == "L0":
        said.mapped.append((f"{name}={method}", "as always"))
    elif method is not None:
        said.without.append(f"{name}={method}: the sparsifying operator is L0 alone, without LASSO")
    if parts.is_classes:
        set_classes(said, parts)
        said.ignore("used for regression alone", *_OF_NUMBERS)
    else:
        _metric(said)
        said.ignore("used for classes alone", *_OF_CLASSES)
    name, number = _value(said, integer, "nmodel", "nmodels", "nm_output")
    if number is not None:
        said.n_models(f"{name}={number}", number)
    said.ignore("no meaning here", *_TECHNICAL)
    said.ignore("used for LASSO alone", *_OF_LASSO)


def _metric(said: Translation) -> None:
    """What the best model has the least of."""
    name, metric = _item(said, "metric")
    kind = (metric or "").upper().removeprefix("LS_")
    if metric is None:
        return
    if kind == "RMSE":
        said.mapped.append((f"{name}={metric}", "as always"))
    elif kind == "MAXAE" and "same_sign" not in said.options:
        said.option("criterion", "max_abs_error", f"{name}={metric}")
    else:
        why = " of coefficients with the same signs" if kind == "MAXAE" else ""
        said.without.append(f"{name}={metric}: models{why} are ranked by RMSE")


def _decorrelation(said: Translation) -> None:
    """Of SISSO 3.1 and 3.2: of features with similar scores only one is kept; here the scores do not count."""
    name, is_on = _value(said, logical, "ffdecorr")
    details = [
        f"{key}={value}"
        for key, value in (_item(said, f"decorr_{kind}") for kind in ("theta", "delta", "alpha"))
        if value
    ]
    if is_on:
        told = f" ({', '.join(details)})" if details else ""
        said.without.append(
            f"{name}=.true.{told}: features with similar scores are not decorrelated; --max-correlation of fit is nearest to it"
        )
    elif is_on is not None or details:
        said.mapped.append((", ".join([f"{name}=.false."] * (is_on is not None) + details), "no meaning here"))


def _size_of_subspace(said: Translation, dim: int) -> None:
    name, text = said.take("nf_sis", "subs_sis")
    text = text or ""
    wanted = [item for item in items(text, dim if "," in text else 1) if item is not None]
    sizes = [said.parsed(name, integer, item) for item in wanted]
    if not sizes:
        said.without.append(f"{name} is not given, and its default depends on the version of SISSO: 50 is taken")
        return
    if min(sizes) < 1:
        raise InputError(f"{said.path}: {name}: needs 1 or more, found {min(sizes)}")
    told = brief(f"{name}={','.join(wanted)}")
    said.set("n_sis", of_dimensions([min(size, LARGEST_SUBSPACE) for size in sizes], said.settings["dim"]), told)
    if max(sizes) > LARGEST_SUBSPACE:
        said.notes.append(f"{told}: a screening keeps at most {LARGEST_SUBSPACE} features here")
