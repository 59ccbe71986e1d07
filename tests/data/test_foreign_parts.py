"""Several tasks and classes in inputs of SISSO and SISSO++: read, run, and compared with SISSO 3.5 and with `fit`."""

import json
import shlex

import numpy as np
import pytest
import reference
from click.testing import CliRunner
from compiled import examples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from sisso_sal.cli import cli
from sisso_sal.data.foreign.readers import read_foreign
from sisso_sal.errors import InputError

SPACE = "nsf=3\nops='(*)(/)'\nfcomplexity=1\nnf_sis=9\nfmax_min=1e-5\n"


def command(*arguments):
    done = CliRunner().invoke(cli, list(map(str, arguments)))
    assert done.exit_code == 0, (done.output, done.exception)
    return done


def imported(folder, *options):
    return json.loads(command("import-sisso", folder, "--threads", 1, "--json", *options).stdout)


def written(folder, keywords, header, rows):
    text = "\n".join(" ".join(map(str, row)) for row in [header, *rows])
    (folder / "SISSO.in").write_text(keywords)
    (folder / "train.dat").write_text(text + "\n")
    return folder


def two_tasks(folder, more="", task="task"):
    """y = 3 a/b + 1 in twelve rows, then -2 a/b in seven; the name of a material recurs."""
    rng = np.random.default_rng(2)
    a, b, c = rng.uniform(1, 2, (3, 19)).round(4)
    y = np.where(np.arange(19) < 12, 3.0 * a / b + 1.0, -2.0 * a / b)
    rows = [(f"m{i % 15}", f"{y[i]:.12f}", a[i], b[i], c[i]) for i in range(19)]
    keywords = f"ptype=1\nntask=2\nnsample=12,7\ndesc_dim=1\nfit_intercept=.true.\n{SPACE}{more}"
    return written(folder, keywords, ("id", "y", "a", "b", task), rows)


def two_classes(folder, more="", sizes="(12,9)"):
    """Classes told by a b: below 4, above 5."""
    rng = np.random.default_rng(3)
    a, b, c = rng.uniform(1, 4, (3, 200)).round(4)
    low, high = np.flatnonzero(a * b < 4)[:12], np.flatnonzero(a * b > 5)[:9]
    rows = [(f"m{i}", a[i], b[i], c[i]) for i in (*low, *high)]
    return written(folder, f"ptype=2\nntask=1\nnsample={sizes}\ndesc_dim=1\n{SPACE}{more}", ("id", *"abc"), rows)


def test_tasks_get_a_column_and_are_fitted_together(tmp_path):
    source = read_foreign(two_tasks(tmp_path))
    assert source.header == ("id", "y", "a", "b", "task", "task_")
    assert source.n_primary == 3
    assert [row[-1] for row in source.rows] == ["1"] * 12 + ["2"] * 7
    assert [row[0] for row in source.rows][15:] == ["m0#2", "m1#2", "m2#2", "m3#2"]
    assert ("ntask=2", "--task task_") in source.mapped
    assert source.arguments == " --task task_ --task-weighting tasks"
    document = imported(tmp_path)
    model = document["models"][0]
    assert [term["expression"] for term in model["terms"]] == ["a/b"]
    assert model["tasks"]["1"]["coefficients"] == pytest.approx([3.0])
    assert model["tasks"]["1"]["intercept"] == pytest.approx(1.0)
    assert model["tasks"]["2"]["coefficients"] == pytest.approx([-2.0])
    assert [task["n_samples"] for task in document["tasks"]] == [12, 7]
    alone = imported(tmp_path, "--only-task", 2)
    assert alone["models"][0]["terms"][0]["coefficient"] == pytest.approx(-2.0)
    assert alone["n_samples"] == 7


@pytest.mark.parametrize(
    ("more", "options"),
    [
        ("scmt=.true.\ntask_weighting=2\n", {"task_weighting": "samples", "same_sign": True}),
        ("scmt=.false.\ntask_weighting=1\n", {"task_weighting": "tasks"}),
        ("metric='MaxAE'\n", {"task_weighting": "tasks", "criterion": "max_abs_error"}),
    ],
)
def test_keywords_of_tasks_become_options_of_fit(tmp_path, more, options):
    source = read_foreign(two_tasks(tmp_path, more, task="c"))
    assert source.options == {"task": "task", **options}
    assert source.without_counterpart == ()
    document = imported(tmp_path)
    assert document["imported"]["options"] == {"task": "task", **options}
    model = document["models"][0]
    signs = {np.sign(own["coefficients"][0]) for own in model["tasks"].values()}
    assert (signs == {-1.0, 1.0}) is ("same_sign" not in options)


def test_the_written_files_and_the_told_command_give_the_same_models(tmp_path):
    for name, make, more in (
        ("tasks", two_tasks, "scmt=.true.\n"),
        ("largest", two_tasks, "metric=MaxAE\n"),
        ("classes", two_classes, "isconvex=(1,0)\nbwidth=0.01\n"),
    ):
        folder = tmp_path / name
        folder.mkdir()
        done = command("import-sisso", make(folder, more), "--out", folder / "out", "--quiet")
        told = command("import-sisso", folder, "--out", folder / "out", "--force").stderr + done.stdout
        settings_file = (folder / "out" / "settings.toml").read_text()
        line = next(line for line in settings_file.splitlines() if line.startswith("# Options of fit"))
        options = shlex.split(line.partition(": ")[2])
        assert "no counterpart" not in told
        again = command(
            "fit", folder / "out" / "table.csv", "--config", folder / "out" / "settings.toml", *options, "--json"
        )
        assert json.loads(again.stdout)["models"] == imported(folder)["models"], name


def test_a_largest_error_of_one_task_ranks_models(tmp_path):
    keywords = f"ntask=1\ndesc_dim=1\nscmt=.true.\ntask_weighting=2\n{SPACE}"
    rng = np.random.default_rng(7)
    rows = [(f"m{i}", *rng.uniform(1, 2, 4).round(4)) for i in range(12)]
    rmse = imported(written(tmp_path, keywords, ("id", "y", *"abc"), rows))
    largest = imported(written(tmp_path, keywords + "metric='MaxAE'\n", ("id", "y", *"abc"), rows))
    assert largest["imported"]["options"] == {"criterion": "max_abs_error"}
    assert largest["models"][0]["max_abs_error"] < rmse["models"][0]["max_abs_error"]
    assert largest["models"][0]["rmse"] > rmse["models"][0]["rmse"]
    mapped = {one["input"]: one["became"] for one in largest["imported"]["mapped"]}
    assert mapped["scmt=.true."] == mapped["task_weighting=2"] == "one task: no meaning here"


def test_same_signs_and_largest_errors_do_not_go_together(tmp_path):
    source = read_foreign(two_tasks(tmp_path, "scmt=T\nmetric=MaxAE\n", task="c"))
    assert "criterion" not in source.options
    told = "metric=MaxAE: models of coefficients with the same signs are ranked by RMSE"
    assert source.without_counterpart == (told,)


def test_the_smallest_task_says_how_many_terms_there_can_be(tmp_path):
    folder = two_tasks(tmp_path, task="c")
    (folder / "SISSO.in").write_text(
        (folder / "SISSO.in").read_text().replace("12,7", "16,3").replace("dim=1", "dim=4")
    )
    source = read_foreign(folder)
    assert source.settings["dim"] == 1
    assert source.notes == (
        "desc_dim=4: 3 samples of task 2 allow 1 term beside the intercept, and one sample to judge them; "
        "no larger model is fitted",
    )


def test_classes_are_the_groups_in_their_order(tmp_path):
    source = read_foreign(two_classes(tmp_path, "isconvex=(1,1,...)  !(C)\nmetric='RMSE'\nfit_intercept=.false.\n"))
    assert source.header == ("id", "class", "a", "b", "c")
    assert [row[1] for row in source.rows] == ["class1"] * 12 + ["class2"] * 9
    assert source.options == {"classify": True, "criterion": "overlap"}
    assert "intercept" not in source.settings
    assert ("fit_intercept", "used for regression alone") in source.mapped
    document = imported(tmp_path)
    model = document["models"][0]
    assert [term["expression"] for term in model["terms"]] == ["a*b"]
    assert model["overlap"] == 0.0
    assert model["overlap_size"] < -0.9  # they are apart by that much
    assert document["class_counts"] == [["class1", 12], ["class2", 9]]


def test_some_classes_have_a_domain_and_three_may_be(tmp_path):
    source = read_foreign(two_classes(tmp_path, "isconvex=(0,1,1)\nwidth=1d-2\n", sizes="(5,7,9)"))
    assert source.options["convex"] == ("class2", "class3")
    assert source.options["width"] == 0.01
    assert [row[1] for row in source.rows] == ["class1"] * 5 + ["class2"] * 7 + ["class3"] * 9


def test_classes_of_one_of_several_tasks(tmp_path):
    folder = two_classes(tmp_path, "isconvex=(1,1),(1,0)\n", sizes="(4,8),(3,6)")
    text = (folder / "SISSO.in").read_text().replace("ntask=1", "ntask=2")
    (folder / "SISSO.in").write_text(text)
    with pytest.raises(
        InputError, match="classes of several tasks have no counterpart; choose one with --only-task 1 "
    ):
        read_foreign(folder)
    source = read_foreign(folder, "2")
    assert [row[1] for row in source.rows] == ["class1"] * 3 + ["class2"] * 6
    assert source.options["convex"] == ("class1",)


@settings(max_examples=examples_of(40))
@given(sizes=st.lists(st.integers(1, 9), min_size=2, max_size=12), is_classes=st.booleans(), data=st.data())
def test_every_row_is_in_its_part(sizes, is_classes, data, tmp_path_factory):
    n_more = data.draw(st.integers(0, 2))
    rows = [(f"m{i}", *([] if is_classes else [i]), i + 0.5, 7 - i) for i in range(sum(sizes) + n_more)]
    listed = ",".join(map(str, sizes))
    keywords = f"nsample=({listed})\nptype=2\n" if is_classes else f"ntask={len(sizes)}\nnsample={listed}\n"
    header = ("id", *([] if is_classes else "y"), "a", "b")
    folder = written(tmp_path_factory.mktemp("input"), keywords + "ops='(+)'\nnf_sis=3\n", header, rows)
    if (sum(sizes) if is_classes else min(sizes)) < 3:
        with pytest.raises(InputError, match=r"train\.dat: needs at least 3 samples, found [12]( of task \d+)?$"):
            read_foreign(folder)
        return
    source = read_foreign(folder)
    parts = [row[1 if is_classes else -1] for row in source.rows]
    assert parts == sorted(parts)  # names sort as their numbers
    assert [parts.count(name) for name in dict.fromkeys(parts)] == sizes


def rows_of(path):
    """The numbers of a file of SISSO without a header."""
    return np.array([line.split() for line in path.read_text().splitlines()], dtype=float)


def test_the_files_of_tasks_hold_the_models_and_their_predictions(tmp_path):
    folder, out = two_tasks(tmp_path, "metric='RMSE'\ndesc_dim=2\n", task="c"), tmp_path / "out"
    document = imported(folder, "--sisso-output", out)
    assert sorted(document["sisso_output"]) == sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    text = (out / "SISSO.out").read_text()
    assert "Number of samples for the task(s):     12     7\n" in text
    assert "Task_weighting:        1\nSign-constrained multi-task learning:      F\n" in text
    model = document["models"][-1]
    assert f"Overall RMSE and MaxAE: {model['rmse']:10.6f}{model['max_abs_error']:10.6f}\n" in text
    coefficients = (out / "Models" / "top0010_D002_coeff").read_text().splitlines()[1].split()
    told = [float(number) for number in coefficients[1:]]
    expected = [own["intercept"] for own in model["tasks"].values()]
    assert [told[0], told[3]] == pytest.approx(expected, abs=1e-8)
    source = read_foreign(folder)
    for place, start, stop in ((1, 0, 12), (2, 12, 19)):
        lines = (out / "Models" / "data_top1" / f"desc_D002_t{place:03d}.dat").read_text().splitlines()
        assert lines[0].split() == ["Index", "y_true", "y_pred", "descriptor_1", "descriptor_2"]
        table = np.array([line.split() for line in lines[1:]], dtype=float)
        np.testing.assert_allclose(table[:, 1], [float(row[1]) for row in source.rows[start:stop]], rtol=1e-9)
        own = told[3 * place - 3 : 3 * place]
        np.testing.assert_allclose(table[:, 2], own[0] + table[:, 3:] @ own[1:], atol=1e-7)
        space = rows_of(out / "SIS_subspaces" / f"Uspace_t{place:03d}.dat")
        np.testing.assert_allclose(space[:, 0], table[:, 1])
        ids = [int(x) for x in (out / "Models" / "top0010_D002").read_text().splitlines()[1].split("(")[1][:-1].split()]
        np.testing.assert_allclose(space[:, ids], table[:, 3:])
    again = CliRunner().invoke(cli, ["import-sisso", str(folder), "--sisso-output", str(out)])
    assert "is not empty; give another --sisso-output, or --force" in str(again.exception)


@pytest.mark.parametrize("sizes", ["(12,9)", "(6,10,5)"])
def test_the_files_of_classes_hold_the_samples_in_the_overlap(tmp_path, sizes):
    folder, out = two_classes(tmp_path, "desc_dim=2\n", sizes), tmp_path / "out"
    document = imported(folder, "--sisso-output", out)
    assert sorted(document["sisso_output"]) == sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.is_file())
    model = document["models"][-1]
    named = f"D{model['dimension']:03d}"
    lines = (out / "Models" / "data_top1" / f"desc_{named}.dat").read_text().splitlines()[1:]
    n_unclear = sum(line.split()[1] == "NO" for line in lines)
    numbers, _, ids = next(out.glob(f"Models/top*_{named}")).read_text().splitlines()[1].partition("(")
    assert [float(number) for number in numbers.split()[1:]] == pytest.approx(
        [model["overlap"], model["overlap_size"]], abs=1e-5
    )
    assert n_unclear <= model["overlap"]
    assert (n_unclear > 0) is (sizes == "(6,10,5)")
    assert f"in all overlap regions: {n_unclear:10d}\n" in (out / "SISSO.out").read_text()
    space = rows_of(out / "SIS_subspaces" / "Uspace.dat")
    chosen = [int(number) - 1 for number in ids.strip(")").split()]
    np.testing.assert_allclose(space[:, chosen], np.array([line.split()[2:] for line in lines], dtype=float))
    first = (out / "SIS_subspaces" / "Uspace.expressions").read_text().splitlines()[0]
    assert int(first.split("N_overlap =")[1].split()[0]) == document["models"][0]["overlap"]
    assert float(first.rpartition("=")[2]) == pytest.approx(document["models"][0]["overlap_size"], abs=1e-4)


CPP = {
    "data_file": "data.csv", "property_key": "y", "task_key": "family", "desc_dim": 1, "n_sis_select": 9, "max_rung": 1,
    "opset": ["mult", "div"], "n_residual": 1, "min_abs_feat_val": 1e-5, "max_abs_feat_val": 1e5,
}  # fmt: skip


def of_cpp(folder, **changes):
    """The rows of `two_tasks`, mixed, as SISSO++ has them."""
    source = read_foreign(two_tasks(folder, task="c"))
    (folder / "SISSO.in").unlink()
    rows = [(f"{row[0]}", ("ox", "sulf")[int(row[-1]) - 1], *row[1:-1]) for row in source.rows]
    rows = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    text = "\n".join(", ".join(map(str, row)) for row in [("# id", "family", "y (eV)", "a (AA)", "b", "c"), *rows])
    (folder / "data.csv").write_text(text + "\n")
    (folder / "sisso.json").write_text(json.dumps({k: v for k, v in (CPP | changes).items() if v is not None}))
    return folder


def test_tasks_of_sisso_cpp_with_a_test_set(tmp_path):
    folder = of_cpp(tmp_path, leave_out_frac=0.25, param_opset=["exp"])
    source = read_foreign(folder)
    assert source.options == {"task": "family", "task_weighting": "samples"}
    assert [row[-1] for row in source.left_out].count("sulf") == 2
    assert [row[-1] for row in source.left_out].count("ox") == 3
    document = imported(folder)
    assert document["imported"]["without_counterpart"] == [
        "param_opset=exp: several tasks have operators without parameters here",
    ]
    model = document["models"][0]
    assert model["tasks"]["sulf"]["coefficients"] == pytest.approx([-2.0])
    assert document["test"][0]["n"] > 0
    assert document["test"][0]["rmse"] < 1e-9


def test_a_column_named_task_is_one_without_a_key(tmp_path):
    folder = of_cpp(tmp_path, task_key=None)
    (folder / "data.csv").write_text((folder / "data.csv").read_text().replace("family", "Task"))
    source = read_foreign(folder)
    assert source.options["task"] == "Task"
    assert ("column Task (2 tasks)", "--task Task") in source.mapped


@pytest.mark.parametrize("names", [("no", "yes"), ("0", "1")])
def test_classes_of_sisso_cpp_with_a_test_set(tmp_path, names):
    source = read_foreign(two_classes(tmp_path))
    (tmp_path / "SISSO.in").unlink()
    rows = [(row[0], names[row[1] == "class2"], *row[2:]) for row in source.rows]
    text = "\n".join(", ".join(map(str, row)) for row in [("# id", "kind (Unitless)", *"abc"), *rows])
    (tmp_path / "data.csv").write_text(text)
    keys = CPP | {"calc_type": "classification", "property_key": "kind", "leave_out_inds": [0, 5, 20]}
    keys |= {"fix_intercept": True, "max_feat_cross_correlation": 0.9}
    (tmp_path / "sisso.json").write_text(json.dumps({key: value for key, value in keys.items() if key != "task_key"}))
    document = imported(tmp_path)
    assert document["imported"]["options"] == {"classify": True, "criterion": "overlap", "boundary": "svc"}
    assert [term["expression"] for term in document["models"][0]["terms"]] == ["a*b"]
    assert document["test"] == [{"dimension": 1, "n": 3, "accuracy": 1.0}]
    assert document["imported"]["without_counterpart"] == [
        "fix_intercept=true: a boundary between classes has an intercept",
        "max_feat_cross_correlation: not for classes here",
    ]


def shared(name):
    reference.shared_tasks(name)
    document = imported(reference.FOLDER / name)
    assert document["imported"]["without_counterpart"] == []
    assert document["imported"]["notes"] == []
    return document["models"][-1]


def values(model, name, columns):
    """Values of the descriptors; any order of factors and terms is the same descriptor."""
    table = dict(zip(columns[0], columns[1], strict=True))
    return [eval(term["expression"], {"log": np.log}, table) for term in model["terms"]]


def test_the_tasks_of_m1_are_those_of_sisso():
    model, (names, X, _) = shared("M1"), reference.shared_tasks("M1")
    c = dict(zip(names, X, strict=True))
    d1, d2 = values(model, "M1", (names, X))
    np.testing.assert_allclose(d1, c["r_cov"] ** 3 * c["N_unf"], rtol=1e-12)
    np.testing.assert_allclose(d2, c["r_s"] * c["CE"] * c["N_unf"] * c["max_OS"], rtol=1e-12)
    one, two = model["tasks"]["1"], model["tasks"]["2"]
    assert one["coefficients"] == pytest.approx([0.3206569902, 0.01051054072], rel=1e-6)
    assert two["coefficients"] == pytest.approx([0.2036586731, 0.004176796326], rel=1e-6)
    assert (one["intercept"], two["intercept"]) == pytest.approx((0.08744407132, 0.1410821822), rel=1e-6)
    assert (one["rmse"], two["rmse"]) == pytest.approx((0.4926788908, 0.2160479994), rel=1e-6)
    assert (one["max_abs_error"], two["max_abs_error"]) == pytest.approx((2.401271954, 0.6937410620), rel=1e-6)
    assert model["rmse"] == pytest.approx(0.380401, abs=1e-6)


def test_the_tasks_of_m3_are_those_of_sisso():
    model, (names, X, _) = shared("M3"), reference.shared_tasks("M3")
    c = dict(zip(names, X, strict=True))
    d1, d2 = values(model, "M3", (names, X))
    np.testing.assert_allclose(d1, c["N_unf"] ** 3, rtol=1e-12)
    np.testing.assert_allclose(d2, c["r_val"] / c["EN"], rtol=1e-12)
    one, two = model["tasks"]["1"], model["tasks"]["2"]
    assert one["coefficients"] == pytest.approx([0.02082930077, 3.542286355], rel=1e-6)
    assert two["coefficients"] == pytest.approx([0.002381378569, 1.119736392], rel=1e-6)
    assert (one["intercept"], two["intercept"]) == pytest.approx((-0.8660829379, -0.1271021771), rel=1e-6)
    assert (one["rmse"], two["rmse"]) == pytest.approx((0.4078525042, 0.4420607501), rel=1e-6)
    assert model["rmse"] == pytest.approx(0.425301, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "overlap", "size"),
    [
        ("C1", 134, 0.74287),
        pytest.param("C2", 93, 0.69123, marks=pytest.mark.slow),
        ("P1", 453, 0.84638),
    ],
)
def test_classes_are_those_of_sisso(name, overlap, size):
    model, (names, X) = shared(name), columns_of_classes(name)
    c = dict(zip(names, X, strict=True))
    if name == "P1":
        expected = [c["rB"] * c["nB"] / np.log(c["rX"])]
    else:
        expected = [c["N_val"] ** 2 + c["stdev_OS"] ** 3, c["IP"] / c["e_L"] + c["AN"] * c["max_OS"]]
    for mine, sisso in zip(values(model, name, (names, X)), expected, strict=False):
        np.testing.assert_allclose(mine, sisso, rtol=1e-12)
    assert model["overlap"] == overlap
    assert model["overlap_size"] == pytest.approx(size, abs=1e-5)


def columns_of_classes(name):
    """Names and values of the primary features; a train.dat of classes has no property."""
    header, *rows = (line.split() for line in (reference.FOLDER / name / "train.dat").read_text().splitlines())
    return header[1:], np.array([row[1:] for row in rows], dtype=float).T
