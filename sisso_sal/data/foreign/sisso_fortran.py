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
}  # fmt: skip
"""The keyword for each option of this program."""

_TECHNICAL = (
    "fstore", "ndimtype", "fs_size_di", "fs_size_l0", "task_weighting", "vf2sf",
    "l1para.max_iter", "l1para.tole", "l1para.nlambda", "l1para.dens", "l1para.minrmse", "l1para.warm_start",
    "l1para.elastic", "l1para.weighted", "l1_max_iter", "l1_tole", "l1_nlambda", "l1_dens", "l1_minrmse", "l1_warm_start",
    "l1_elastic", "l1_weighted",
)  # fmt: skip
_OF_LASSO = ("nl1l0", "l1l0_size4l0", "l1para.nl1l0")
_OF_CLASSES = ("isconvex", "bwidth", "width")


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
    said = _keywords(path)
    _refuse_other_work(said)
    begin, n_samples = _samples(said, task)
    data = TrainData.read(path.parent / "train.dat")
    n_features = data.n_features(said)
    records = data.samples(said, n_features, begin, n_samples)
    of_features = units(said, n_features)
    if any(of_features):
        said.set("units", "sisso", "SISSO takes exp, log, sin and cos of any quantity")
    _size_of_space(said)
    _operators(said)
    _search(said, len(records))
    _without_meaning(said)
    said.rest()
    header = tuple(map(header_of, data.names, ("", "", *of_features)))
    said.settings |= {"target": split_header(header[1])[0], "id": split_header(header[0])[0]}
    ids = distinct([row[0] for row in records])
    return ForeignInput(
        program="SISSO", files=(str(path), str(data.path)), header=header, settings=said.settings, mapped=tuple(said.mapped),
        rows=[[id, *row[1:]] for id, row in zip(ids, records, strict=True)], without_counterpart=tuple(said.without),
        notes=tuple(said.notes), keywords=NAMES,
    )  # fmt: skip


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


def _refuse_other_work(said: Translation) -> None:
    name, kind = _item(said, "ptype")
    number = {"quanti": 1, "quali": 2}.get((kind or "quanti").lower()) or said.parsed(name, integer, kind)
    if number != 1:
        what = "a classification, which is not supported" if number == 2 else str(number)
        raise InputError(f"{said.path}: {name}={kind}: needs a regression, found {what}")
    if kind is not None:
        said.mapped.append((f"{name}={kind}", "regression"))
    name, part = _item(said, "calc", "task")
    if part is not None and part.upper() == "FCDI":
        said.mapped.append((f"{name}={part}", "as always"))
    elif part is not None:
        said.without.append(f"{name}={part}: feature construction and model search are always done in one run")
    name, is_constrained = _value(said, logical, "scmt")
    if is_constrained is False:
        said.mapped.append((f"{name}=.false.", "signs are free"))
    elif is_constrained:
        said.without.append(f"{name}=.true.: the sign of a coefficient cannot be prescribed; signs are free")
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


def _samples(said: Translation, task: str | None) -> tuple[int, int | None]:
    """Number of the first row of train.dat to take, and how many; all where that is not said."""
    name, n_tasks = _value(said, integer, "ntask", "nprop")
    has_tasks, n_tasks = n_tasks is not None, 1 if n_tasks is None else n_tasks
    if n_tasks < 1:
        raise InputError(f"{said.path}: {name}: needs 1 or more, found {n_tasks}")
    _, text = said.take("nsample")
    listed = items(text, min(n_tasks, 1000)) if text else []
    sizes = [said.parsed("nsample", integer, item) for item in listed if item is not None]
    if any(size < 1 for size in sizes):
        raise InputError(f"{said.path}: nsample: needs 1 or more, found {min(sizes)}")
    said.mapped += [(f"{name}={n_tasks}", "one task")] if has_tasks and n_tasks == 1 else []
    said.mapped += [(f"nsample={','.join(map(str, sizes))}", "rows of train.dat")] if sizes else []
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


def _search(said: Translation, n_rows: int) -> None:
    name, has_intercept = _value(said, logical, "fit_intercept")
    if has_intercept is not None:
        said.set("intercept", has_intercept, f"{name}={'.true.' if has_intercept else '.false.'}")
    name, dim = _value(said, integer, "desc_dim")
    told = f"{name}={dim}"
    if dim is None:
        dim, told = 2, "desc_dim is not given"
    said.set("dim", said.terms("desc_dim", dim, n_rows, said.path.parent / "train.dat"), told)
    _size_of_subspace(said, dim)
    _decorrelation(said)
    said.set("n_residual", 1, "SISSO screens with the residual of the best model")
    name, method = _item(said, "method_so", "method")
    if method is not None and method.upper() == "L0":
        said.mapped.append((f"{name}={method}", "as always"))
    elif method is not None:
        said.without.append(f"{name}={method}: the sparsifying operator is L0 alone, without LASSO")
    name, metric = _item(said, "metric")
    if metric is not None and metric.upper().endswith("RMSE"):
        said.mapped.append((f"{name}={metric}", "as always"))
    elif metric is not None:
        said.without.append(f"{name}={metric}: models are ranked by RMSE")
    name, number = _item(said, "nmodel", "nmodels", "nm_output")
    if number is not None:
        said.without.append(f"{name}={number}: the best model of each dimension is kept")


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


def _without_meaning(said: Translation) -> None:
    said.ignore("no meaning here", *_TECHNICAL)
    said.ignore("used for LASSO alone", *_OF_LASSO)
    said.ignore("used for classes alone", *_OF_CLASSES)
