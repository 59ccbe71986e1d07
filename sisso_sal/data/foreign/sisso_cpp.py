"""Inputs of SISSO++: sisso.json and its CSV (T. A. R. Purcell et al., J. Open Source Softw. 7, 3960 (2022))."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from sisso_sal.data.cells import shown
from sisso_sal.data.foreign.translation import ForeignInput, Translation, brief, distinct, of_dimensions, read_lines
from sisso_sal.data.headers import split_header
from sisso_sal.errors import InputError
from sisso_sal.system.documents import LARGE, read_json

OPERATORS = (
    "add", "sub", "abs_diff", "mult", "div", "inv", "abs", "exp", "log", "sin", "cos", "sq", "cb", "six_pow", "sqrt", "cbrt",
    "neg_exp",
)  # fmt: skip
PARAM_OPERATORS = ("abs", "inv", "sq", "cb", "six_pow", "sqrt", "cbrt", "exp", "log", "sin", "cos")
LARGEST_RUNG, LARGEST_SUBSPACE = 3, 10_000_000
NAMES = {
    "--dim": "desc_dim", "--n-sis": "n_sis_select", "--rung": "max_rung", "--n-residual": "n_residual",
    "--min-abs": "min_abs_feat_val", "--max-abs": "max_abs_feat_val",
    "--max-correlation": "max_feat_cross_correlation", "--param-operators": "param_opset", "--regression": "calc_type",
    "--max-complexity": "max_complexity in the settings of --out", "--max-features": "max_features in the settings of --out",
}  # fmt: skip
"""The keyword for each option of this program."""

_TECHNICAL = (
    "n_rung_store", "nlopt_seed", "global_param_opt", "reparam_residual", "data_file_relative_to_json",
    "max_param_depth", "override_n_sis_select", "verbose",
)  # fmt: skip


def read_sisso_cpp(path: Path, task: str | None = None) -> ForeignInput:
    """Read sisso.json and the CSV file that it names.

    Parameters
    ----------
    path : path
        sisso.json.
    task : str, optional
        Name of the one task to take, as in the task column.

    Raises
    ------
    InputError
        A file is missing or damaged, or asks for another kind of calculation, or for several tasks of classes or of a log
        regression while `task` is None.
    """
    said = Translation(path, _document(path))
    kind = _kind(said)
    data = path.parent / str(said.take("data_file")[1] or "data.csv")
    header, rows = _data(data)
    target = _column(said, data, header, str(said.take("property_key")[1] or "prop"))
    header, rows = _tasks(said, data, header, rows, task)
    _no_tasks_of(said, kind)
    names = distinct([row[0] for row in rows])
    rows = [[name, *row[1:]] for name, row in zip(names, rows, strict=True)]
    rows, left_out = _left_out(said, data, rows)
    _space_and_search(said, _fewest(said, data, rows, left_out), data)
    if kind == "classification":
        _of_classes(said)
    said.settings |= {"target": split_header(target)[0], "id": split_header(header[0])[0]}
    said.ignore("no meaning here", *_TECHNICAL)
    said.rest()
    return ForeignInput(
        program="SISSO++", files=(str(path), str(data)), header=tuple(header), rows=rows, left_out=left_out,
        settings=said.settings, mapped=tuple(said.mapped), without_counterpart=tuple(said.without),
        notes=tuple(said.notes), keywords=NAMES, options=said.options,
    )  # fmt: skip


def _kind(said: Translation) -> str:
    kind = said.take("calc_type")[1] or "regression"
    plain = str(kind).replace(" ", "_").replace("-", "_")
    if plain not in ("regression", "log_regression", "classification"):
        needed = "regression, log_regression or classification"
        raise InputError(f"{said.path}: calc_type: needs {needed}, found {shown(kind)}")
    if plain == "log_regression":
        said.set("regression", "log", f"calc_type={kind}")
    if plain == "classification":
        said.option("classify", True, f"calc_type={kind}")
        said.option("criterion", "overlap", "SISSO++ counts samples in the overlap of domains")
        said.option("boundary", "svc", "SISSO++ draws boundaries by a support vector classifier")
    return plain


def _no_tasks_of(said: Translation, kind: str) -> None:
    """Refuse several tasks of what has one here."""
    if "task" in said.options and kind != "regression":
        why = "needs one task, found several; choose with --only-task"
        raise InputError(f"{said.path}: calc_type={kind}: {why}")


def _of_classes(said: Translation) -> None:
    """Leave out settings that a search for classes has not."""
    if said.settings.pop("intercept", True) is False:
        said.without.append("fix_intercept=true: a boundary between classes has an intercept")
    for option, keyword in (("param_operators", "param_opset"), ("max_correlation", "max_feat_cross_correlation")):
        if said.settings.pop(option, None) is not None:
            said.without.append(f"{keyword}: not for classes here")
    said.mapped = [one for one in said.mapped if not one[1].startswith(("intercept", "param_op", "max_corr"))]


def _document(path: Path) -> dict[str, Any]:
    document = read_json(path, LARGE)
    if not isinstance(document, dict):
        raise InputError(f"{path}: needs a JSON object, found {shown(document)}")
    return document


def _data(path: Path) -> tuple[list[str], list[list[str]]]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file (data_file of sisso.json)")
    table = [[cell.strip() for cell in row] for row in csv.reader(read_lines(path), skipinitialspace=True) if row]
    if len(table) < 2:
        raise InputError(f"{path}: needs a header and rows, found {len(table)} lines")
    for number, row in enumerate(table[1:], 1):
        if len(row) != len(table[0]):
            raise InputError(f"{path}: row {number}: needs {len(table[0])} cells as in the header, found {len(row)}")
    header = [_with_unit(cell) for cell in table[0]]
    return [header[0].lstrip("# ") or "sample", *header[1:]], table[1:]


def _with_unit(header: str) -> str:
    """A header as this program has it: SISSO++ also writes that there is no unit."""
    name, unit = split_header(header)
    return name if unit.lower() in {"unitless", ""} else f"{name} ({unit})"


def _column(said: Translation, path: Path, header: list[str], key: str) -> str:
    """The header of a column that the input names without its unit."""
    for cell in header:
        if key in (cell, split_header(cell)[0]):
            return cell
    raise InputError(
        f"{path}: needs the column {shown(key)} that {said.path.name} names, found {', '.join(header[:8])}"
    )


def _tasks(
    said: Translation, path: Path, header: list[str], rows: list[list[str]], only: str | None
) -> tuple[list[str], list[list[str]]]:
    """Header and rows with the task in the last column, or without it where there is one task."""
    name, key = said.take("task_key")
    if key is None and "task" not in map(str.lower, header):
        if only is not None:
            raise InputError(f"{path}: only-task: needs a column of tasks (task_key), found none")
        return header, rows
    column = header.index(
        _column(said, path, header, str(key) if key else next(h for h in header if h.lower() == "task"))
    )
    found, told = split_header(header[column])[0], f"{name}={key}" if key else f"column {header[column]}"
    tasks = list(dict.fromkeys(row[column] for row in rows))
    if only is not None and only not in tasks:
        raise InputError(f"{path}: only-task: needs one of {', '.join(tasks)}, found {shown(only)}")
    others = [cells[:column] + cells[column + 1 :] for cells in (header, *rows)]
    if only is not None or len(tasks) == 1:
        said.mapped.append((told, "one task" if len(tasks) == 1 else f"only task {only} is used"))
        kept = [row for row, whole in zip(others[1:], rows, strict=True) if only in (None, whole[column])]
        return others[0], kept
    if "" in tasks:
        row = next(row for row in rows if not row[column])
        raise InputError(f"{path}: row {shown(row[0])}: needs a task in the column {found}, found an empty cell")
    said.option("task", found, f"{told} ({len(tasks)} tasks)")
    said.option("task_weighting", "samples", "SISSO++ takes the mean of squares over all samples")
    return [*others[0], found], [[*row, whole[column]] for row, whole in zip(others[1:], rows, strict=True)]


def _fewest(said: Translation, path: Path, rows: list[list[str]], left_out: list[list[str]]) -> int:
    """Number of rows; with several tasks that of the smallest.

    Raises
    ------
    InputError
        The test set has all rows of a task.
    """
    if "task" not in said.options:
        return len(rows)
    counts = Counter(row[-1] for row in rows)
    if gone := next((row[-1] for row in left_out if row[-1] not in counts), None):
        raise InputError(f"{path}: leave_out_inds: needs to leave rows of each task, found none of {gone}")
    return min(counts.values())


def _left_out(said: Translation, path: Path, rows: list[list[str]]) -> tuple[list[list[str]], list[list[str]]]:
    """Rows to train on, and rows of the test set."""
    _, indices = said.take("leave_out_inds")
    _, share = said.take("leave_out_frac")
    if not indices:
        return _drawn(said, rows, share) if share else (rows, [])
    if share:
        said.mapped.append((f"leave_out_frac={share}", "leave_out_inds counts"))
    chosen = {said.parsed("leave_out_inds", int, index) for index in _listed(said, "leave_out_inds", indices)}
    if not all(0 <= index < len(rows) for index in chosen):
        raise InputError(f"{path}: leave_out_inds: needs numbers from 0 to {len(rows) - 1}, found {max(chosen)}")
    said.mapped.append((f"leave_out_inds ({len(chosen)} rows)", "rows of test.csv"))
    return [r for i, r in enumerate(rows) if i not in chosen], [r for i, r in enumerate(rows) if i in chosen]


def _drawn(said: Translation, rows: list[list[str]], share: Any) -> tuple[list[list[str]], list[list[str]]]:
    """Rows to train on, and a random test set of this share of the rows, of each task; the same one in every run."""
    part = said.parsed("leave_out_frac", float, share)
    if not 0 <= part < 1:
        raise InputError(f"{said.path}: leave_out_frac: needs a number from 0 to below 1, found {shown(share)}")
    of_task: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        of_task.setdefault(row[-1] if "task" in said.options else "", []).append(number)
    draw = Random(0)
    chosen = {number for mine in of_task.values() for number in draw.sample(mine, round(part * len(mine)))}
    said.mapped.append((f"leave_out_frac={share} ({len(chosen)} rows)", "rows of test.csv"))
    if chosen:
        said.notes.append(
            f"leave_out_frac={share}: the test set is drawn at random, and is not the one that SISSO++ draws"
        )
    return [r for i, r in enumerate(rows) if i not in chosen], [r for i, r in enumerate(rows) if i in chosen]


def _listed(said: Translation, key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(f"{said.path}: {key}: needs a list, found {shown(value)}")
    return value


def _operators(said: Translation) -> None:
    names = [str(name) for name in _listed(said, "opset", said.take("opset")[1] or [])]
    known = tuple(name for name in names or OPERATORS if name in OPERATORS)
    if unknown := [name for name in names if name not in OPERATORS]:
        said.without.append(f"operator {brief(', '.join(unknown))}: no such operator here; left out")
    if not known:
        raise InputError(
            f"{said.path}: opset: needs operators such as {', '.join(OPERATORS[:5])}, found {shown(names)}"
        )
    said.set("operators", known, "opset" if names else "opset is not given: all operators")
    _param_operators(said)


def _param_operators(said: Translation) -> None:
    parametrised = [str(name) for name in _listed(said, "param_opset", said.take("param_opset")[1] or [])]
    own = ["exp" if name == "neg_exp" else name for name in parametrised]
    taken = tuple(name for name in PARAM_OPERATORS if name in own)
    kinds = {
        "several tasks have": "task" in said.options,
        "a log regression has": said.settings.get("regression") == "log",
    }
    if taken and (whose := next((words for words, is_so in kinds.items() if is_so), "")):
        said.without.append(f"param_opset={brief(','.join(parametrised))}: {whose} operators without parameters here")
    elif taken:
        said.set("param_operators", taken, f"param_opset={brief(','.join(parametrised))}")
    if others := [name for name in own if name not in PARAM_OPERATORS]:
        said.without.append(f"param_opset {brief(','.join(others))}: takes no parameters here")


def _space_and_search(said: Translation, n_rows: int, data: Path) -> None:
    _operators(said)
    rung = said.number("rung", int, "max_rung")
    if rung is not None and rung > LARGEST_RUNG:
        said.without.append(f"max_rung={rung}: rung {LARGEST_RUNG} is taken")
        said.settings["rung"] = LARGEST_RUNG
    fixed = said.take("fix_intercept")[1]
    if str(fixed).lower() == "true":
        said.set("intercept", False, "fix_intercept=true")
    dim = said.take("desc_dim")[1]
    if dim is not None:
        said.set("dim", said.terms("desc_dim", said.parsed("desc_dim", int, dim), n_rows, data), f"desc_dim={dim}")
    _size_of_subspace(said)
    if said.number("n_residual", int, "n_residual") is None:
        said.set("n_residual", 1, "n_residual is not given")
    for option, name, default in (("min_abs", "min_abs_feat_val", 1e-50), ("max_abs", "max_abs_feat_val", 1e50)):
        if said.number(option, float, name) is None:
            said.set(option, default, f"{name} is not given")
    leaves = said.take("max_leaves")[1]
    if leaves is not None and said.parsed("max_leaves", int, leaves) < 2 ** said.settings.get("rung", 2):
        said.without.append(f"max_leaves={leaves}: the leaves of a term are not limited")
    correlation = said.take("max_feat_cross_correlation")[1]
    if correlation is not None and said.parsed("max_feat_cross_correlation", float, correlation) < 1:
        said.set("max_correlation", float(correlation), f"max_feat_cross_correlation={correlation}")
    said.ignore("as always: the last rung is made on the fly", "n_rung_generate")
    stored = said.take("n_models_store")[1]
    if stored is not None:
        said.n_models(f"n_models_store={stored}", said.parsed("n_models_store", int, stored))


def _size_of_subspace(said: Translation) -> None:
    """One number for every dimension, or a list with one for each."""
    given = said.take("n_sis_select")[1]
    if given is None:
        return
    sizes = [said.parsed("n_sis_select", int, size) for size in (given if isinstance(given, list) else [given])]
    if not sizes or min(sizes) < 1:
        raise InputError(f"{said.path}: n_sis_select: needs 1 or more, found {shown(given)}")
    kept = [min(size, LARGEST_SUBSPACE) for size in sizes]
    said.set("n_sis", of_dimensions(kept, said.settings.get("dim", 2)), f"n_sis_select={given}")
    if max(sizes) > LARGEST_SUBSPACE:
        said.notes.append(f"n_sis_select={max(sizes)}: a screening keeps at most {LARGEST_SUBSPACE} features here")
