"""Tables whose columns are called as people call them, and worse: fit, predict, export, discover and report as processes."""

import ast
import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from sisso_sal.data.columns import split_header
from sisso_sal.features.reading import parse_formula

CC = shutil.which("cc")

SLASHES = ("a/b", "c/d", "x-y", "e f")
OPERATORS = ("E-A (eV)", "I/P (eV)", "r+s (AA)", "2theta")
HOSTILE = (
    "a/b", "a_b", "sin", 'x"y', "a\\b", "two\nlines", "\x1b[31mred", "$a$_{", "r^2", "<script>alert(1)</script>", "*/ int main",
    "__import__('os').name", "|x|", "2r", "\u202ertl", "%{y}", "`",
)  # fmt: skip


def table_of(headers, law, target, n=40, n_known=40):
    """Columns of random numbers, and a target that follows a law of them."""
    rng = np.random.default_rng(3)
    columns = pd.DataFrame(rng.uniform(1.0, 2.0, (n, len(headers))), columns=list(headers))
    columns[target] = law(columns).where(columns.index < n_known)
    columns.insert(0, "id", [f"m{k}" for k in range(n)])
    return columns


CASES = {
    "slashes": (SLASHES, lambda t: 3 + 2 * t["a/b"] / t["c/d"] - t["x-y"] * t["e f"], "z"),
    "operators": (OPERATORS, lambda t: 3 * t["I/P (eV)"] / t["E-A (eV)"] + t["r+s (AA)"] / t["2theta"], "gap (eV)"),
    "hostile": (HOSTILE, lambda t: 3 * t["two\nlines"] / t["\x1b[31mred"] + t["$a$_{"] * t["__import__('os').name"], "E/N\x1b[32m"),
}  # fmt: skip
FORMULAS = {
    "slashes": {"`a/b`/`c/d`", "`e f`*`x-y`"},
    "operators": {"`I/P`/`E-A`", "`r+s`/`2theta`"},
    "hostile": {r"`two\nlines`/`\x1b[31mred`", "`$a$_{`*`__import__('os').name`"},
}
QUICK = ("--rung", 1, "--dim", 2, "--operators", "add,sub,mult,div,sq", "--n-sis", 10, "--threads", 1)


@pytest.fixture(params=CASES)
def case(request, tmp_path):
    headers, law, target = CASES[request.param]
    table_of(headers, law, target).to_csv(tmp_path / "table.csv", index=False)
    return request.param, tmp_path


def called(forks, folder, *arguments):
    done = forks.call(*arguments, cwd=folder, lines=False)
    assert done.code == 0, done
    return done


def test_what_fit_prints_reads_back_and_predicts_what_the_model_file_predicts(forks, case):
    name, folder = case
    headers, _, target = CASES[name]
    fit = ("fit", "table.csv", "--target", target, *QUICK)
    said = called(forks, folder, *fit, "--out", "model.json")
    document = json.loads(called(forks, folder, *fit, "--json").out)
    terms = document["models"][-1]["terms"]
    assert {term["expression"] for term in terms} == FORMULAS[name]
    assert all(f"· {term['shown']}\n" in said.out for term in terms)
    assert said.out.replace("\n", "").isprintable()

    table = pd.read_csv(folder / "table.csv")
    columns = {split_header(header)[0]: table[header].to_numpy() for header in headers}
    units = {split_header(header)[0]: split_header(header)[1] for header in headers}
    total = np.full(len(table), document["models"][-1]["intercept"])
    for term in terms:
        formula = parse_formula(term["expression"], units)
        assert formula.to_json() == term["tree"]
        total = total + term["coefficient"] * formula.evaluate(columns)
    predicted = json.loads(called(forks, folder, "predict", "model.json", "table.csv", "--json").out)["predictions"]
    # Older versions of pandas read a number up to its last bit.
    np.testing.assert_allclose([row["mean"] for row in predicted], total, rtol=1e-14)


@pytest.mark.parametrize("form", ["python", "sympy", "c"])
def test_exports_run_and_say_what_stands_for_which_column(forks, case, form):
    name, folder = case
    _, _, target = CASES[name]
    called(forks, folder, "fit", "table.csv", "--target", target, *QUICK, "--out", "model.json")
    suffix = "c" if form == "c" else "py"
    called(forks, folder, "export", "model.json", "--format", form, "--out", f"model.{suffix}")
    text = (folder / f"model.{suffix}").read_text(encoding="utf-8")
    document = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    predicted = json.loads(called(forks, folder, "predict", "model.json", "table.csv", "--json").out)["predictions"]
    used = sorted({name for model in document["models"][-1:] for name in _names(model[0])})
    said = text if form == "c" else "\n".join(_docstrings(text))
    assert sorted(map(ast.literal_eval, re.findall("primary feature (.+), (?:in|no unit)", said))) == used
    first = _compiled(folder, used) if form == "c" else _imported(folder, form, used)
    assert first == pytest.approx(predicted[0]["mean"], rel=1e-12)


def _docstrings(text):
    """Of a module and its functions."""
    nodes = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Module | ast.FunctionDef))
    return [ast.get_docstring(node) or "" for node in nodes]


def _names(model):
    """Primary features in the trees of a model."""
    pending = [term["tree"] for term in model["terms"]]
    while pending:
        tree = pending.pop()
        if isinstance(tree, str):
            yield tree
        else:
            pending += tree[1:]


def _first_row(folder, used):
    table = pd.read_csv(folder / "table.csv")
    return [float(table[header][0]) for name in used for header in table.columns if split_header(header)[0] == name]


def _compiled(folder, used):
    if CC is None:
        pytest.skip("no C compiler: cc is not on the path")
    values = ", ".join(map(repr, _first_row(folder, used)))
    main = f'#include <stdio.h>\nint main(void) {{ printf("%.17g", sisso_predict({values})); return 0; }}\n'
    (folder / "main.c").write_text(f'#include "model.c"\n{main}', encoding="utf-8")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    built = subprocess.run([CC, *flags, "main.c", "-o", "run", "-lm"], cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return float(subprocess.run([folder / "run"], capture_output=True, text=True, check=True).stdout)


def _imported(folder, form, used):
    values = _first_row(folder, used)
    calls = {
        "python": f"model.predict(*{values})",
        "sympy": "model.expression.evalf(30, subs={s: v for s, v in zip(map(model.symbols.get, names), values)})",
    }
    code = f"import model\nnames, values = {used!r}, {values!r}\nprint(float({calls[form]}))"
    return float(
        subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True).stdout
    )


def test_discover_and_its_report_with_hostile_names(forks, tmp_path):
    headers, law, target = CASES["hostile"]
    table_of(headers, law, target, 36, 26).to_csv(tmp_path / "table.csv", index=False)
    options = (*QUICK, "--dim", 1, "--members", 4, "--batch", 2)
    done = called(forks, tmp_path, "discover", "table.csv", "--out", "run", *options)
    assert "`E/N\\x1b[32m` = " in done.out
    assert "Best candidates for E/N\\x1b[32m:" in done.out
    assert (done.out + done.err).replace("\n", "").isprintable()
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<mi>`" in page
    assert "<script>alert" not in page
    assert not {"\x1b", "\u202e"} & set(page[: page.index("<script")])
    called(forks, tmp_path, "status", "run")
    files = json.loads(called(forks, tmp_path, "report", "run", "--format", "svg", "--json").out)["files"]
    assert any(path.endswith("map-1.svg") for path in files)
