"""Inputs of SISSO (several versions) and SISSO++, as their templates and documentation write them."""

import json
import re
import tomllib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.cli import cli, fitting
from sisso_sal.data.foreign.list_directed import MOST, integer, items, logical, real
from sisso_sal.data.foreign.readers import read_foreign
from sisso_sal.data.foreign.sisso_fortran import OPERATORS
from sisso_sal.errors import InputError, SettingsError
from sisso_sal.features.operators import OPERATORS as KNOWN

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "oxides_gpbx.csv"

V2 = """\
task='FCDI'          !'FCDI': iterative, 'FC', 'DI'
restart=.false.
desc_dim=1           ! dimension
ptype='quanti'
nprop=1
nsample=5
width=0.001
nsf= 3               ! scalar features
rung=2
maxcomplexity=10
opset='(+)(-)(*)(/)(exp)(log)(^-1)(^2)(^3)(sqrt)(cbrt)(|-|)'  ! one set
ndimtype=2
dimclass=(1:2)(3:3)  ! groups of one unit
maxfval_lb=1e-3
maxfval_ub=1e5
subs_sis=40
method='L0'
fs_size_DI=          ! set by SISSO
metric='LS_RMSE'
nm_output=100
"""
V30 = """\
ptype=1
ntask=1
nsample=5
task_weighting=1
desc_dim=2
restart=.false.
nsf= 3
rung=3
opset='(+)(*)(scd)'
maxcomplexity=5
dimclass=(1:1)
maxfval_lb=1d-4
maxfval_ub=1D6
subs_sis=40
method='L1L0'
L1L0_size4L0= 1
fit_intercept=.false.
metric='MaxAE'
nm_output=1
"""
V35 = """\
!>>>>>>
ptype=1                !1: regression
ntask=1
scmt=.false.
desc_dim=3
nsample=4
restart=0
fstore=1
nsf= 2
ops='(+)(-)','(*)(exp-)'
fcomplexity=1
funit=(1:2)
fmax_min=1e-3
fmax_max=1e5
nf_sis=30,20,10
method_so= 'L0'
nmodel=100
isconvex=(1,1,...)     !(C)
nthing=7
"""
DATA = """\
materials    property  feature1  f(x)  feature3
sample1       3.0862    0.8626    0.7043    0.6312
sample2       2.8854    0.7260    0.7818    6.119D-1

sample3       0.6907    0.4943    0.0044    0.4420
sample3       0.9902    0.0106    0.0399    0.9877
sample5       0.7242    0.0970    0.3199    0.5504
"""


def fortran(folder, keywords, data=DATA, **files):
    (folder / "SISSO.in").write_text(keywords)
    (folder / "train.dat").write_text(data)
    for name, content in files.items():
        (folder / name).write_text(content)
    return folder


def test_keywords_of_version_2(tmp_path):
    found = read_foreign(fortran(tmp_path, V2))
    assert found.program == "SISSO"
    assert found.header == ("materials", "property", "feature1 (unit1)", "f[x] (unit1)", "feature3 (unit2)")
    assert [row[0] for row in found.rows] == ["sample1", "sample2", "sample3", "sample3#2", "sample5"]
    assert found.rows[1][1:] == ["2.8854", "0.7260", "0.7818", "6.119e-1"]
    operators = ("add", "sub", "mult", "div", "exp", "log", "inv", "sq", "cb", "sqrt", "cbrt", "abs_diff")
    assert found.settings == {
        "operators": operators, "rung": 2, "dim": 1, "n_sis": 40, "min_abs": 1e-3, "max_abs": 1e5, "n_residual": 1,
        "units": "sisso", "target": "property", "id": "materials",
    }  # fmt: skip
    assert found.without_counterpart == ("nm_output=100: the best 10 models of each dimension are kept",)
    assert found.notes == ()
    assert ("fs_size_DI=", "without a value") in found.mapped


def test_keywords_of_version_3_0(tmp_path):
    found = read_foreign(fortran(tmp_path, V30) / "SISSO.in")
    about = found.settings
    assert (about["rung"], about["max_complexity"], about["intercept"]) == (3, 5, False)
    assert (about["min_abs"], about["max_abs"], about["operators"]) == (1e-4, 1e6, ("add", "mult"))
    assert found.header[2:] == ("feature1 (unit1)", "f[x]", "feature3")
    told = " ".join(found.without_counterpart)
    assert [word for word in ("(scd)", "method=L1L0") if word not in told] == []
    assert ("maxcomplexity=5", "max_complexity = 5") in found.mapped
    assert ("metric=MaxAE", "--criterion max_abs_error") in found.mapped
    assert found.options == {"criterion": "max_abs_error"}
    assert ("nm_output=1", "the best 10 of each dimension are kept, for --sisso-output") in found.mapped


def test_keywords_of_version_3_5(tmp_path):
    data = DATA.replace("    ", ",").replace("sample1,   3", "sample1,\t3")
    found = read_foreign(fortran(tmp_path, V35, data))
    about = found.settings
    assert (about["rung"], about["dim"], about["n_sis"], about["operators"]) == (
        1,
        2,
        (30, 20),
        ("add", "sub"),
    )  # one rung takes the first set; four samples allow two terms
    assert "max_complexity" not in about
    assert found.header[2:] == ("feature1 (unit1)", "f[x] (unit1)")  # nsf=2 of three
    assert len(found.rows) == 4
    assert [line.partition(":")[0] for line in found.without_counterpart] == [
        "nmodel=100", "nthing=7",
    ]  # fmt: skip
    assert found.notes == (
        "nsf=2: train.dat has 3 features; not used: feature3",
        "nsample=4: train.dat has 5 samples; the last 1 are not used",
        "desc_dim=3: 4 samples allow 2 terms beside the intercept, and one sample to judge them; no larger model is fitted",
    )


@pytest.mark.parametrize(
    ("written", "operators"),
    [
        ("'(+)(-)','(*)(/)'", (("add", "sub"), ("mult", "div"))),
        ("'(+)(-)','(-)(+)'", ("add", "sub")),
        ("'(+)','(*)(scd)'", (("add",), ("mult",))),
    ],
)
def test_operators_of_each_rung(tmp_path, written, operators):
    found = read_foreign(fortran(tmp_path, f"ops={written}\nnf_sis=9\nfcomplexity=3\n"))
    assert found.settings["operators"] == operators
    told = ";".join(map(",".join, operators)) if isinstance(operators[0], tuple) else ",".join(operators)
    assert (f"ops={written}", f"operators = {told}") in found.mapped
    assert not [line for line in found.without_counterpart if line.startswith("ops")]


@pytest.mark.parametrize(
    ("complexity", "rung", "limit"), [(0, 0, None), (1, 1, None), (2, 2, 2), (3, 2, None), (5, 3, 5), (9, 3, None)]
)
def test_the_rung_follows_from_the_complexity_as_in_sisso(tmp_path, complexity, rung, limit):
    found = read_foreign(fortran(tmp_path, f"ops='(+)'\nnf_sis=9\nfcomplexity={complexity}\n"))
    assert (found.settings["rung"], found.settings.get("max_complexity")) == (rung, limit)
    assert any("rung 4" in line for line in found.without_counterpart) == (complexity > 7)


def test_units_from_a_file_of_exponents(tmp_path):
    units = "1.0 0.0\n 0.5 -1.0\n0.0 0.0\n"
    found = read_foreign(fortran(tmp_path, "ops='(+)'\nnf_sis=9\nnsf=3\n", feature_units=units))
    assert found.header[2:] == ("feature1 (unit1)", "f[x] (unit1**(1/2)*unit2**(-1))", "feature3")


def test_one_task_of_several(tmp_path):
    fortran(tmp_path, "ntask=2\nnsample=2,3\nops='(+)'\nnf_sis=9\n")
    found = read_foreign(tmp_path, "2")
    assert [row[0] for row in found.rows] == ["sample3", "sample3#2", "sample5"]
    assert ("ntask=2", "only task 2 is used") in found.mapped
    assert found.options == {}
    assert any(line.startswith("nf_sis") for line in found.without_counterpart) is False


PLAIN = """\
ptype=1
ntask=1
desc_dim=1
nsample=6
nsf=3
ops='(+)(-)(*)(/)'
fcomplexity=1
nf_sis=10
fit_intercept=.true.
"""
SIX = """\
material  gap   EA    IP    r_s
MgO       7.8   1.32  7.6   1.13
CaO       6.9   1.10  6.1   1.15
SrO       5.3   1.05  5.7   1.18
BaO       4.3   0.98  5.2   1.22
ZnO       3.4   1.46  9.4   1.08
CdO       2.2   1.39  9.0   1.12
"""


def written_as(key, value, rng):
    """One of the many ways to write a keyword, for SISSO the same."""
    if value.startswith("."):
        letter = value[1]
        value = rng.choice([value, value.upper(), letter, letter.upper(), f".{letter}", f"{letter}xyz", f".{letter}."])
    elif value.startswith("'"):
        value = rng.choice([value, value.replace("'", '"')])
    else:
        value = rng.choice([value, f"+{value}", f"0{value}", f"1*{value}"])
    key = rng.choice([key, key.upper(), key.capitalize()])
    blank = [rng.choice(["", " ", "   ", "\t"]) for _ in range(3)]
    after = rng.choice(["", ",", " ,", "  # words", " words = 3", "/", " /2", "   ! a comment", "!", ", , 5", ";"])
    return f"{blank[0]}{key}{blank[1]}={blank[2]}{value}{after}"


@settings(max_examples=examples_of(60))
@given(rng=st.randoms(use_true_random=False))
def test_the_ways_to_write_an_input_read_the_same(rng, tmp_path_factory):
    folder = tmp_path_factory.mktemp("input")
    plain = read_foreign(fortran(folder, PLAIN, SIX))
    lines = [written_as(*line.split("=", 1), rng) for line in PLAIN.splitlines()]
    lines += rng.choices(["", "! a comment", "# ops='(exp)'", "!desc_dim=2"], k=2)
    rng.shuffle(lines)
    found = read_foreign(fortran(folder, "\n".join(lines) + rng.choice(["", "\n"]), SIX))
    assert found.settings == plain.settings
    assert (found.rows, found.header, found.notes, found.without_counterpart) == (plain.rows, plain.header, (), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (".true.   # nonzero", True),
        ("T", True),
        ("tralse", True),
        (".f", False),
        ("F,", False),
        (".FALSE. ! .true.", False),
    ],
)
def test_a_logical_is_its_first_letter(tmp_path, text, expected):
    found = read_foreign(fortran(tmp_path, PLAIN.replace(".true.", text), SIX))
    assert found.settings["intercept"] is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("1   number of terms", ["1", "number", "of", "terms"]),
        ("10,", ["10"]),
        (",10", [None, "10"]),
        ("1,,3", ["1", None, "3"]),
        ("2*5 7/9", ["5", "5", "7"]),
        ("2*", [None, None]),
        ("'it''s' \"a, b\"", ["it's", "a, b"]),
        ("(+)(-)(*)(/)", ["(+)(-)(*)("]),
        ("999999999999999999999*1", ["1"] * MOST),
        ("", []),
        ("/ 3", []),
    ],
)
def test_items_of_a_line_as_gfortran_reads_them(line, expected):
    assert items(line) == expected


@given(st.text(alphabet="12+*-.eEdD'\", ;/tTfF()#", max_size=20))
def test_any_line_has_items_or_none(line):
    found = items(line)
    assert len(found) <= MOST
    for item in (item for item in found if item is not None):
        for kind in (integer, real, logical):
            with suppress(ValueError):
                kind(item)


@pytest.mark.parametrize(
    ("text", "value"), [("1d-3", 1e-3), ("1.5D+00", 1.5), ("1+5", 1e5), (".5", 0.5), ("-2.", -2.0), ("1.0q2", 100.0)]
)
def test_numbers_of_fortran(text, value, tmp_path):
    assert real(text) == value
    found = read_foreign(fortran(tmp_path, "ops='(+)'\nnf_sis=9\n", f"m y a\ns 1 {text}\nt 2 7\nu 3 8\n"))
    assert float(found.rows[0][2]) == value


@pytest.mark.parametrize("text", ["1.0", "1e3", "10#", "0x10", "1_8"])
def test_what_fortran_takes_for_no_integer_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"SISSO\.in: nf_sis: needs an integer, found "):
        read_foreign(fortran(tmp_path, PLAIN.replace("nf_sis=10", f"nf_sis={text}"), SIX))


def test_a_feature_in_two_groups_has_both_units(tmp_path):
    found = read_foreign(fortran(tmp_path, PLAIN + "funit=(1:2)(2:3) # as SISSO\n", SIX))
    assert found.header[2:] == ("EA (unit1)", "IP (unit1*unit2)", "r_s (unit2)")
    found = read_foreign(fortran(tmp_path, PLAIN + "funit=(2:9)\n", SIX))
    assert found.header[2:] == ("EA", "IP (unit1)", "r_s (unit1)")
    assert found.notes == ("funit: (2:9): there are 3 features; the rest of the group is not used",)


@pytest.mark.parametrize("group", ["(3)", "(0:2)", "(3:2)", "(a:b)", "(1:2:3)", "()"])
def test_a_group_that_is_no_range_is_refused(tmp_path, group):
    with pytest.raises(InputError, match=r"SISSO\.in: funit: needs groups such as \(1:2\)\(3:3\), found \("):
        read_foreign(fortran(tmp_path, PLAIN + f"funit=(1:2){group}\n", SIX))


def test_columns_of_exponents_are_as_many_as_groups(tmp_path):
    exponents = "1 0 3\n0 2*1\n1d0 .5 0\n"
    found = read_foreign(fortran(tmp_path, PLAIN + "funit=(1:2)(3:3)\n", SIX, feature_units=exponents))
    assert found.header[2:] == ("EA (unit1)", "IP (unit2)", "r_s (unit1*unit2**(1/2))")
    assert found.notes == ("feature_units: funit has 2 groups, so SISSO reads 2 of 3 columns",)


def test_what_is_not_used_is_said_once(tmp_path):
    more = "scmt=.t.\nrestart=1\nnvf=2\nvfsize=10\nnewkey=3\nother=a b\nfcomplexity=3\nmy job\ntask_weighting=1\n"
    found = read_foreign(fortran(tmp_path, PLAIN + more, SIX.replace("1.13", "1.13 5")))
    assert found.without_counterpart == (
        "nvf=2: features that are vectors of size 10 (vfsize) are not read; only numbers (nsf) are used",
        "newkey=3, other=a b: not known here, and not used",
    )
    assert found.notes == (
        "fcomplexity: given more than once; the last value counts, as in SISSO",
        "1 line without '=': not read, as in SISSO; the first is 'my job'",
        "train.dat: 1 lines have more cells than the header, such as line 2; the last cells are not used",
    )
    assert found.settings["rung"] == 2
    assert ("restart=1", "the run starts anew") in found.mapped


def test_operators_without_quotation_marks_end_at_the_slash(tmp_path):
    found = read_foreign(fortran(tmp_path, PLAIN.replace("'(+)(-)(*)(/)'", "(+)(-)(*)(/)"), SIX))
    assert found.settings["operators"] == ("add", "sub", "mult")
    assert found.notes == (
        "ops=(+)(-)(*)(/): without quotation marks SISSO reads it up to the first blank, comma or slash; write ops='…'",
    )


def test_every_operator_of_sisso_but_scd_has_one_here():
    assert set(OPERATORS.values()) <= set(KNOWN)
    symbols = "(+)(-)(*)(/)(exp)(exp-)(^-1)(^2)(^3)(sqrt)(cbrt)(log)(|-|)(^6)(sin)(cos)"
    assert list(OPERATORS) == re.findall(r"\(([^()]+)\)", symbols)


@pytest.mark.parametrize(
    ("keywords", "data", "message"),
    [
        ("ptype=3\n", DATA, "SISSO.in: ptype=3: needs 1 (regression) or 2 (classification), found 3"),
        (
            "ptype=2\nnsample=5\n",
            DATA,
            "SISSO.in: nsample: needs the size of each of at least two classes, such as (40,60), found '5'",
        ),
        (
            "ptype=2\nntask=2\nnsample=(1,1),(1,2)\n",
            DATA,
            "SISSO.in: ntask=2: classes of several tasks have no counterpart; choose one with --only-task 1 to 2",
        ),
        ("ptype=2\nnsample=(2,4)\n", DATA, "train.dat: needs 6 samples (nsample), found 5"),
        (
            "ptype=2\nnsample=(2,3)\nisconvex=(0,0)\n",
            DATA,
            "SISSO.in: isconvex: needs at least one class with a convex domain, found '(0,0)'",
        ),
        (
            "ptype=2\nnsample=(2,3)\nisconvex=(1,2)\n",
            DATA,
            "SISSO.in: isconvex: needs 1 (convex) or 0 for each class, found '(1,2)'",
        ),
        ("ptype=2\nnsample=(2,3)\nbwidth=-1\n", DATA, "SISSO.in: bwidth: needs a number of at least 0, found -1"),
        ("ntask=3\nnsample=2,3\n", DATA, "SISSO.in: nsample: needs a size for each of 3 tasks, found 2"),
        ("ntask=2\nnsample=2,3\ntask_weighting=3\n", DATA, "SISSO.in: task_weighting: needs 1 or 2, found 3"),
        ("desc_dim=two\n", DATA, "SISSO.in: desc_dim: needs an integer, found 'two'"),
        ("nsample=9\n", DATA, "train.dat: needs 9 samples (nsample), found 5"),
        ("nsf=7\n", DATA, "train.dat: needs 7 features (nsf), found 3 in the header"),
        (
            "nsf=3\n",
            "m y a b c\ns 1 2 3\n",
            "train.dat: line 2: needs a name, a property and 3 features, found 4 cells",
        ),
        ("nsf=1\n", "m y a\ns 1 x1\n", "train.dat: line 2: needs a number, found 'x1'"),
        ("nsf=1\n", "", "train.dat: needs a header (sample, property, features) and rows, found 0 lines"),
        ("!nothing\n", DATA, "SISSO.in: needs lines 'keyword = value', found none"),
        ("ops='(%)'\n", DATA, """SISSO.in: ops: needs operators such as '(+)(-)(*)(/)', found "'(%)'\""""),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, keywords, data, message):
    if "ops" not in keywords and "!" not in keywords:
        keywords += "ops='(+)(*)'\nnf_sis=9\n"
    with pytest.raises(InputError) as caught:
        read_foreign(fortran(tmp_path, keywords, data))
    assert str(caught.value) == f"{tmp_path}/{message}"


def test_a_folder_without_or_with_two_inputs(tmp_path):
    with pytest.raises(
        InputError, match=r"needs SISSO\.in \(with train\.dat\) or sisso\.json \(with its CSV\), found neither"
    ):
        read_foreign(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        read_foreign(tmp_path / "nowhere")
    (tmp_path / "sisso.json").write_text("{}")
    with pytest.raises(InputError, match="found both; name the file"):
        read_foreign(fortran(tmp_path, V2))
    (tmp_path / "train.dat").unlink()
    with pytest.raises(InputError, match=r"train\.dat: cannot be read: No such file"):
        read_foreign(tmp_path / "SISSO.in")


CSV = """\
# Material, Kind, Volume (AA^3), a (AA), q (Unitless), same (eV)
C, diamond, 7.0, 3.0, 1.0, 2
Si, diamond, 10.0, 3.0, 2.0, 2.0
Ge, diamond, 5.0, 2.0, 1.0, 2
Sn, diamond, 9.0, 4.0, 1.0, 2
Pb, diamond, 16.0, 5.0, 3.0, 2
LiF, rock_salt, 1.0, 2.0, 3.0, 2
"""
SISSO_JSON = {
    "data_file": "data.csv", "property_key": "Volume", "task_key": "Kind", "opset": ["add", "mult", "sq"],
    "param_opset": [], "calc_type": "regression", "desc_dim": 1, "n_sis_select": 5, "max_rung": 1, "max_leaves": 2,
    "n_residual": 3, "n_models_store": 1, "n_rung_store": 1, "n_rung_generate": 0, "min_abs_feat_val": 1e-5,
    "max_abs_feat_val": 1e8, "leave_out_inds": [1], "leave_out_frac": 0.25, "fix_intercept": False,
    "max_feat_cross_correlation": 0.9, "nlopt_seed": 13, "global_param_opt": False, "reparam_residual": True,
}  # fmt: skip


def cpp(folder, changes=None, text=CSV):
    kept = {key: value for key, value in (SISSO_JSON | (changes or {})).items() if value is not None}
    (folder / "sisso.json").write_text(json.dumps(kept))
    (folder / "data.csv").write_text(text)
    return folder


def test_operators_with_parameters_of_sisso_cpp(tmp_path):
    found = read_foreign(cpp(tmp_path, {"param_opset": ["sin", "neg_exp", "add"]}), "diamond")
    assert found.settings["param_operators"] == ("exp", "sin")
    assert ("param_opset=sin,neg_exp,add", "param_operators = exp,sin") in found.mapped
    assert "param_opset add: takes no parameters here" in found.without_counterpart


def test_a_log_regression_of_sisso_cpp_has_operators_without_parameters(tmp_path):
    changes = {"param_opset": ["exp"], "calc_type": "log_regression"}
    found = read_foreign(cpp(tmp_path, changes), "diamond")
    assert "param_operators" not in found.settings
    told = "param_opset=exp: a log regression has operators without parameters here"
    assert told in found.without_counterpart


def test_an_input_of_sisso_cpp(tmp_path):
    found = read_foreign(cpp(tmp_path), "diamond")
    assert found.program == "SISSO++"
    assert found.header == ("Material", "Volume (AA^3)", "a (AA)", "q")
    assert [row[0] for row in found.rows] == ["C", "Ge", "Sn", "Pb"]
    assert found.left_out == [["Si", "10.0", "3.0", "2.0"]]
    assert found.settings == {
        "operators": ("add", "mult", "sq"), "rung": 1, "dim": 1, "n_sis": 5, "n_residual": 3, "min_abs": 1e-5,
        "max_abs": 1e8, "target": "Volume", "id": "Material", "max_correlation": 0.9,
    }  # fmt: skip
    assert found.without_counterpart == ("feature same (eV): the same in every row; left out",)


@pytest.mark.parametrize(
    ("changes", "task", "message"),
    [
        (
            {"calc_type": "log_regression"},
            None,
            "sisso.json: calc_type=log_regression: needs one task, found several; choose with --only-task",
        ),
        (
            {"calc_type": "classification"},
            None,
            "sisso.json: calc_type=classification: needs one task, found several; choose with --only-task",
        ),
        (
            {"leave_out_inds": [5]},
            None,
            "data.csv: leave_out_inds: needs to leave rows of each task, found none of rock",
        ),
        ({}, "wurtzite", "data.csv: only-task: needs one of diamond, rock_salt, found 'wurtzite'"),
        (
            {"calc_type": "ranking"},
            None,
            "sisso.json: calc_type: needs regression, log_regression or classification, found 'ranking'",
        ),
        ({"property_key": "Vol"}, None, "data.csv: needs the column 'Vol' that sisso.json names, found # Material"),
        ({"data_file": "other.csv"}, None, "other.csv: there is no such file (data_file of sisso.json)"),
        ({"desc_dim": 1.5}, "diamond", "sisso.json: desc_dim: needs an integer, found 1.5"),
        ({"opset": "add"}, "diamond", "sisso.json: opset: needs a list, found 'add'"),
        (
            {"opset": ["erf"]},
            "diamond",
            "sisso.json: opset: needs operators such as add, sub, abs_diff, mult, div, found",
        ),
        ({"leave_out_inds": 3}, "diamond", "sisso.json: leave_out_inds: needs a list, found 3"),
        ({"max_leaves": "few"}, "diamond", "sisso.json: max_leaves: needs an integer, found 'few'"),
        (
            {"max_feat_cross_correlation": [1]},
            "diamond",
            "sisso.json: max_feat_cross_correlation: needs a number, found",
        ),
        (
            {"n_models_store": None, "n_sis_select": [3, 0]},
            "diamond",
            "sisso.json: n_sis_select: needs 1 or more, found",
        ),
        ({"desc_dim": 0}, "diamond", "sisso.json: desc_dim: needs 1 or more, found 0"),
        ({"leave_out_inds": [9]}, "diamond", "data.csv: leave_out_inds: needs numbers from 0 to 4, found 9"),
    ],
)
def test_a_bad_input_of_sisso_cpp_is_told(tmp_path, changes, task, message):
    with pytest.raises(InputError) as caught:
        read_foreign(cpp(tmp_path, changes), task)
    assert str(caught.value).startswith(f"{tmp_path}/{message}".replace("# Material", "Material"))


def test_sizes_of_subspaces_and_terms_beyond_the_rows(tmp_path):
    found = read_foreign(cpp(tmp_path, {"n_sis_select": [5, 9], "desc_dim": 4, "erf": 1}), "diamond")
    assert (found.settings["n_sis"], found.settings["dim"]) == ((5, 9), 2)
    assert "erf=1: not known here, and not used" in found.without_counterpart
    assert found.notes == (
        "desc_dim=4: 4 samples allow 2 terms beside the intercept, and one sample to judge them; no larger model is fitted",
    )


def command(*arguments, code=0):
    done = CliRunner().invoke(cli, ["import-sisso", *map(str, arguments)])
    assert done.exit_code == code, done.output
    return done


def test_the_command_runs_writes_and_tells(tmp_path):
    """Volume = 2 a + q by hand: SISSO++ input, run, written, and fitted from what was written."""
    text = CSV.replace(" 10.0,", " 8.0,").replace("9.0, 4.0", "9.0, 4.0").replace("16.0, 5.0, 3.0", "13.0, 5.0, 3.0")
    folder = cpp(tmp_path, {"desc_dim": 2, "max_rung": 0, "leave_out_inds": None, "leave_out_frac": 0}, text)
    document = json.loads(command(folder, "--only-task", "diamond", "--json", "--threads", 1).stdout)
    model = document["models"][1]
    assert {term["expression"]: round(term["coefficient"], 9) for term in model["terms"]} == {"a": 2.0, "q": 1.0}
    assert document["imported"]["program"] == "SISSO++"
    assert document["imported"]["settings"]["n_sis"] == 5

    done = command(folder, "--only-task", "diamond", "--out", folder / "converted")
    assert done.stdout.splitlines()[-1].startswith("Next: edit the files if needed, then sisso-sal fit ")
    assert "no counterpart: feature same (eV): the same in every row; left out" in done.stderr
    written = tomllib.loads((folder / "converted" / "settings.toml").read_text())
    assert written["model"] | {"target": written["target"]} == {
        "operators": ["add", "mult", "sq"], "rung": 0, "dim": 2, "n_sis": 5, "n_residual": 3, "min_abs": 1e-5,
        "max_abs": 1e8, "target": "Volume", "max_correlation": 0.9,
    }  # fmt: skip
    again = command(folder, "--only-task", "diamond", "--out", folder / "converted", code=1).exception
    assert "exists already; give another --out, or --force" in str(again)

    dry = command(folder, "--only-task", "diamond", "--dry-run", "--quiet")
    assert tomllib.loads(dry.stdout) == written
    assert dry.stderr == "".join(f"no counterpart: {line}\n" for line in document["imported"]["without_counterpart"])


@pytest.mark.skipif(not SHARED.exists(), reason=f"needs {SHARED.name} beside the checkout")
def test_a_folder_of_sisso_3_5_gives_the_models_of_sisso_3_5(tmp_path):
    """References B1 and B2: RMSE, largest error and formula as SISSO 3.5 printed them."""
    table = pd.read_csv(SHARED).rename(columns=lambda header: header.partition(" (")[0])
    by_unit = ["r_s", "r_val", "r_cov", "e_H", "e_L", "EA", "IP", "CE", "EN"]
    others = [name for name in table.columns[2:] if name not in by_unit]
    table[["oxide", "g_pbx", *by_unit, *others]].to_csv(tmp_path / "train.dat", sep=" ", index=False)
    (tmp_path / "SISSO.in").write_text(
        "ptype=1\nntask=1\ndesc_dim=2\nnsample=250\nnsf=14\nops='(+)(-)(|-|)(*)(/)(^-1)(^2)(^3)(^6)(sqrt)'\nfcomplexity=3\n"
        "funit=(1:3)(4:8)(9:9)\nfmax_min=1e-5\nfmax_max=1e5\nnf_sis=50\nmethod_so='L0'\nfit_intercept=.true.\n"
    )
    document = json.loads(command(tmp_path, "--json", "--threads", 1).stdout)
    assert document["imported"]["without_counterpart"] == []
    one, two = document["models"]
    assert (one["rmse"], one["max_abs_error"]) == pytest.approx((0.4901648810, 3.158551736), rel=1e-9)
    assert (two["rmse"], two["max_abs_error"]) == pytest.approx((0.3748653374, 2.895145583), rel=1e-9)
    assert one["intercept"] == pytest.approx(-0.4422919852, rel=1e-8)
    assert one["terms"][0]["coefficient"] == pytest.approx(3.030294777, rel=1e-8)
    assert two["intercept"] == pytest.approx(0.2936786208, rel=1e-8)


def test_exp_of_a_quantity_with_a_unit_is_in_reach(tmp_path):
    """y = 1 + 2 a exp(-T): SISSO takes exp of any quantity."""
    rng = np.random.default_rng(4)
    T, a, b = rng.uniform(0.5, 3, (3, 40))
    rows = [
        f"s{i} {1 + 2 * y * np.exp(-x):.8f} {x:.8f} {y:.8f} {z:.8f}"
        for i, (x, y, z) in enumerate(zip(T, a, b, strict=True))
    ]
    keywords = "nsf=3\ndesc_dim=1\nops='(+)(-)(*)(/)(exp)(exp-)'\nfcomplexity=2\nfunit=(1:1)(2:3)\nnf_sis=20\n"
    fortran(tmp_path, keywords, "\n".join(["m y T a b", *rows]) + "\n")
    document = json.loads(command(tmp_path, "--json", "--threads", 1).stdout)
    assert document["models"][0]["rmse"] < 1e-8
    assert document["models"][0]["terms"][0]["expression"] in ("a*exp(-T)", "a/exp(T)")
    command(tmp_path, "--out", tmp_path / "out")
    written = tomllib.loads((tmp_path / "out" / "settings.toml").read_text())
    assert written["model"]["units"] == "sisso"


def test_more_than_the_space_has_is_cut_and_said(tmp_path):
    fortran(tmp_path, PLAIN.replace("nf_sis=10", "nf_sis=1000000").replace("desc_dim=1", "desc_dim=9"), SIX)
    done = command(tmp_path, "--threads", 1)
    assert "note: nf_sis=1000000: the space has 18 features; all are kept\n" in done.stderr
    assert "note: desc_dim=9: 6 samples allow 4 terms beside the intercept, and one sample" in done.stderr
    document = json.loads(command(tmp_path, "--threads", 1, "--json").stdout)
    assert "nf_sis=1000000: the space has 18 features; all are kept" in document["imported"]["notes"]
    assert len(document["models"]) == 4


def test_sizes_of_dimensions_are_run_and_cut(tmp_path):
    fortran(tmp_path, PLAIN.replace("nf_sis=10", "nf_sis=1000000,5").replace("desc_dim=1", "desc_dim=2"), SIX)
    done = command(tmp_path, "--threads", 1)
    assert "note: nf_sis=1000000,5: the space has 18 features; all are kept\n" in done.stderr
    fortran(tmp_path, PLAIN.replace("nf_sis=10", "nf_sis=6,5").replace("desc_dim=1", "desc_dim=2"), SIX)
    assert "all are kept" not in command(tmp_path, "--threads", 1).stderr


@pytest.mark.parametrize("n_features", [1, 2])
def test_fewer_features_than_terms_give_the_models_that_there_are(tmp_path, n_features):
    keywords = PLAIN.replace("nsf=3", f"nsf={n_features}").replace("fcomplexity=1", "fcomplexity=0")
    done = command(fortran(tmp_path, keywords.replace("desc_dim=1", "desc_dim=4"), SIX), "--threads", 1)
    assert f"note: desc_dim=4: models of up to {n_features} terms were found\n" in done.stderr


@pytest.mark.parametrize("program", ["SISSO", "SISSO++"])
def test_a_refusal_names_the_keyword_and_not_an_option_that_is_not_there(tmp_path, monkeypatch, program):
    def refuse(*_, **__):
        raise SettingsError(
            "max_abs: needs --n-sis, --dim or --rung 2 (--max-features); rung 3 stays, try --max-complexity 5"
        )

    monkeypatch.setattr(fitting, "fitted", refuse)
    if program == "SISSO":
        expected = (
            "fmax_max: needs nf_sis, desc_dim or fcomplexity 2 (max_features in the settings of --out); rung 3 stays, "
        )
        told = str(command(fortran(tmp_path, PLAIN, SIX), code=1).exception)
        assert told == expected + "try fcomplexity 5"
    else:
        told = str(command(cpp(tmp_path), "--only-task", "diamond", code=1).exception)
        assert told.startswith("max_abs_feat_val: needs n_sis_select, desc_dim or max_rung 2 (max_features in the ")
        assert told.endswith("try max_complexity in the settings of --out 5")


def test_a_name_that_looks_like_a_unit_stays_a_name(tmp_path):
    data = SIX.replace("material  gap   EA    IP    r_s", "id/Å  E/kJ  radius/Å  r(eV)  c/a")
    found = read_foreign(fortran(tmp_path, PLAIN + "funit=(3:3)\n", data))
    assert found.header == ("id/Å (1)", "E/kJ (1)", "radius/Å (1)", "r[eV] (1)", "c/a (unit1)")
    document = json.loads(command(tmp_path, "--json", "--threads", 1).stdout)
    assert document["target"]["name"] == "E/kJ"
    assert document["n_features"]["0"] == 3


@pytest.mark.parametrize("kind", ["log_regression", "log regression", "regression"])
def test_log_regression_of_sisso_cpp(tmp_path, kind):
    found = read_foreign(cpp(tmp_path, {"calc_type": kind, "max_feat_cross_correlation": 1.0}), "diamond")
    assert found.settings.get("regression") == (None if kind == "regression" else "log")
    assert "max_correlation" not in found.settings
    assert ("n_rung_generate", "as always: the last rung is made on the fly") in found.mapped


@pytest.mark.parametrize(("share", "n"), [(0.25, 1), (0.4, 2), (0, 0), (0.3, 2)])
def test_a_share_of_the_rows_is_left_out_at_random(tmp_path, share, n):
    folder = cpp(tmp_path, {"leave_out_inds": None, "leave_out_frac": share})
    found = read_foreign(folder, "diamond")
    assert len(found.left_out) == n
    assert sorted(row[0] for row in (*found.rows, *found.left_out)) == ["C", "Ge", "Pb", "Si", "Sn"]
    assert read_foreign(folder, "diamond").left_out == found.left_out
    told = f"leave_out_frac={share}: the test set is drawn at random, and is not the one that SISSO++ draws"
    assert found.notes == ((told,) if n else ())
    with pytest.raises(InputError, match="leave_out_frac: needs a number from 0 to below 1, found 1"):
        read_foreign(cpp(tmp_path, {"leave_out_inds": None, "leave_out_frac": 1}), "diamond")


def test_decorrelation_of_sisso_3_has_no_counterpart_and_says_so(tmp_path):
    keys = "decorr_theta=0.9\ndecorr_delta=0.1\n"
    found = read_foreign(fortran(tmp_path, f"{V2}\nffdecorr=.true.\n{keys}"))
    told = "ffdecorr=.true. (decorr_theta=0.9, decorr_delta=0.1): features with similar scores are not decorrelated; "
    assert told + "--max-correlation of fit is nearest to it" in found.without_counterpart
    found = read_foreign(fortran(tmp_path, f"{V2}\nffdecorr=.false.\n{keys}"))
    assert ("ffdecorr=.false., decorr_theta=0.9, decorr_delta=0.1", "no meaning here") in found.mapped
