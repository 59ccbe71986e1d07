"""The real command, as a shell calls it: exit codes, results on stdout, notes on stderr, and JSON that other programs read."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from forks import shared

from sisso_sal import __version__
from sisso_sal.ledger.store import Ledger, read_ledger
from sisso_sal.models.files import load_model

COMMANDS = (
    "discover",
    "pareto",
    "status",
    "label",
    "retry",
    "stop",
    "ledger",
    "fit",
    "predict",
    "featurize",
    "pool",
    "export",
    "doctor",
)
SCRIPT = Path(sysconfig.get_path("scripts"), "sisso-sal")
COMMAND = (str(SCRIPT),) if SCRIPT.exists() else (sys.executable, "-m", "sisso_sal")
QUICK = (
    "--rung",
    "1",
    "--dim",
    "2",
    "--n-sis",
    "6",
    "--n-residual",
    "2",
    "--operators",
    "add,sub,mult,div,sq",
    "--threads",
    "1",
)
STEP = (*QUICK, "--members", "5", "--batch", "3")
N, N_KNOWN = 36, 24

AIMS_OUTPUT = """\
          Invoking FHI-aims ...
  FHI-aims version      : 240920
  | Number of atoms                   :       13
          Begin self-consistency loop: Initialization.
  ESTIMATED overall HOMO-LUMO gap:      1.25000000 eV between HOMO at k-point 1 and LUMO at k-point 4
  | Total energy uncorrected      :         -0.200000000000000E+03 eV
"""


FEW_MEMBERS = (
    "note: members {}: some labels are out of bag once or twice only, so sigma is rough; 20 or more are better\n"
)


def call(*arguments, folder=None, code=0, environment=None):
    """Run the command in a process that need not start anew; the exit code is checked, and so is that no traceback is shown."""
    done = shared().call(*arguments, cwd=folder or Path.cwd(), lines=False, kill_after=300, environment=environment)
    return checked(done.code, done.out, done.err, code)


def shell(*arguments, folder=None, code=0):
    """The same as a shell does it: a new interpreter."""
    done = subprocess.run([*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300, cwd=folder)
    return checked(done.returncode, done.stdout, done.stderr, code)


def checked(code, stdout, stderr, expected):
    assert code == expected, stderr
    assert "Traceback" not in stdout + stderr
    return types.SimpleNamespace(stdout=stdout, stderr=stderr)


def refused(*arguments, folder=None, code=2, run=call):
    """The one line on stderr of a command that fails; stdout stays empty."""
    done = run(*arguments, folder=folder, code=code)
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("note: ")] == lines[-1:], done.stderr
    return lines[-1]


def strict(text):
    """The one JSON document in a text; NaN and infinities are no JSON."""

    def no_constant(name):
        raise AssertionError(f"{name} in JSON")

    return json.loads(text, parse_constant=no_constant)


def materials():
    rng = np.random.default_rng(4)
    frame = pd.DataFrame({"name": [f"M{i:02d}" for i in range(N)]})
    for header in ("E (eV)", "r (AA)", "q"):
        frame[header] = rng.uniform(0.5, 2.0, N).round(4)
    y = 3 * frame["E (eV)"] / frame["q"] - 0.5 * frame["E (eV)"] + 1 + rng.normal(0, 0.02, N)
    frame.insert(1, "gap (eV)", y.round(4).where(np.arange(N) % 3 != 1))
    return frame


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A folder with tables, a model and an ensemble, and what the commands that made them printed."""
    folder = tmp_path_factory.mktemp("work")
    materials().to_csv(folder / "table.csv", index=False)
    fit = shell("fit", "table.csv", *QUICK, "--out", "model.json", "--json", folder=folder)
    ensemble = call(
        "fit", "table.csv", *QUICK, "--members", 5, "--seed", 3, "--out", "ensemble.json", "--json", folder=folder
    )
    step = shell("discover", "table.csv", *STEP, "--out", "run", "--json", folder=folder)
    return types.SimpleNamespace(folder=folder, fit=fit, ensemble=ensemble, step=step)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_helps(command):
    done = call(command, "--help")
    assert done.stdout.startswith(f"Usage: sisso-sal {command} [OPTIONS]")
    assert done.stderr == ""
    assert "Example" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 110


def test_the_program_helps_and_tells_its_version():
    done = call("-h")
    assert [c for c in COMMANDS if f"\n  {c} " not in done.stdout] == []
    assert call("--version").stdout == f"sisso-sal, version {__version__}\n"
    alone = call()
    assert alone.stdout.startswith("Which material should be computed next?")
    assert "sisso-sal discover candidates.csv" in alone.stdout
    assert alone.stderr == ""


def test_help_imports_nothing_heavy():
    heavy = ("numpy", "scipy", "pandas", "pyarrow", "numba", "sklearn", "pint", "pymatgen", "sympy", "pydantic", "rich")
    code = f"import sys, sisso_sal.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.fixture(scope="module")
def models_and_tables(tmp_path_factory):
    """A folder with a table that is known, one with gaps, a model of one formula and an ensemble with a correction."""
    folder = tmp_path_factory.mktemp("imports")
    rng = np.random.default_rng(2)
    frame = pd.DataFrame(rng.uniform(1, 2, (24, 3)).round(4), columns=["a (eV)", "b (eV/atom)", "r (AA)"])
    frame.insert(0, "formula", [f"Mg{i}O" for i in range(1, 25)])
    frame["gap (eV)"] = (frame["a (eV)"] * frame["r (AA)"]).round(4) + rng.normal(0, 0.01, 24).round(4)
    frame.to_csv(folder / "known.csv", index=False)
    frame["gap (eV)"] = frame["gap (eV)"].where(frame.index < 16)
    frame.to_csv(folder / "gapped.csv", index=False)
    call("fit", "known.csv", "--target", "gap", "--rung", "1", "--out", "model.json", folder=folder)
    call(
        "fit", "known.csv", "--target", "gap", "--rung", "1", "--members", "4", "--out", "ensemble.json", folder=folder
    )
    return folder


UNUSED = (
    "sklearn",
    "scipy.stats",
    "pint",
    "pandas",
    "plotly",
    "matplotlib",
    "jinja2",
    "sympy",
    "pymatgen",
    "mendeleev",
)
IMPORTS = f"""
import json, sys
from sisso_sal.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    try:
        main()
    finally:
        print([name for name in {UNUSED} if name in sys.modules], file=sys.stderr)
    print("next")
"""


def test_a_command_imports_only_what_it_uses(models_and_tables):
    """The import of scikit-learn with scipy.stats takes longer than a small fit; usual units need no registry of pint.

    What a command of the first ones imported would still be there after the next one, so that one process is enough for all.
    """
    fit = ("fit", "known.csv", "--target", "gap", "--rung", "1", "--json")
    calls = {
        "export": (["export", "model.json", "--json"], []),
        "fit": ([*fit], []),
        "fit of an ensemble": ([*fit, "--members", "3"], []),
        "discover --dry-run": (["discover", "gapped.csv", "--rung", "1", "--members", "4", "--dry-run", "--json"], []),
        "predict": (["predict", "model.json", "known.csv", "--json"], ["pandas"]),
        "predict of an ensemble": (["predict", "ensemble.json", "known.csv", "--json"], ["pandas"]),
    }
    words = json.dumps([arguments for arguments, _ in calls.values()])
    code = [sys.executable, "-c", IMPORTS, words]
    done = subprocess.run(code, cwd=models_and_tables, capture_output=True, text=True, check=True)
    lists = [line for line in done.stderr.splitlines() if line.startswith("[")]
    assert dict(zip(calls, lists, strict=True)) == {name: str(needed) for name, (_, needed) in calls.items()}
    assert len([strict(document) for document in done.stdout.removesuffix("next\n").split("next\n")]) == len(calls)


INTERRUPTED = """
from sisso_sal import cli

def call(**_):
    cli._interrupt({number}, None) if "{where}" == "call" else exec("cli._interrupt({number}, None)")

cli.cli.main = call
cli.main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["call", "text that is executed"])
def test_the_exit_code_tells_the_signal_wherever_the_program_was(tmp_path, number, where):
    """CPython ends a module by SIGINT when KeyboardInterrupt came out of a text that was executed, also when it was caught."""
    (tmp_path / "interrupted.py").write_text(INTERRUPTED.format(number=int(number), where=where))
    paths = os.pathsep.join([str(tmp_path), *(path for path in sys.path if path)])
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + number, "", "error: interrupted\n")


def test_the_module_runs_like_the_script():
    done = subprocess.run([sys.executable, "-m", "sisso_sal", "fti"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: No such command 'fti'")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["discovr"], ["No such command 'discovr'", "'discover'"]),
        (["fit", "--targt", "x"], ["No such option '--targt'", "'--target'"]),
        (["discover", "a.csv", "--member", "4"], ["No such option '--member'", "'--members'"]),
        (["fit"], ["Missing argument 'TABLE'"]),
        (["fit", "a.csv", "--rung", "4"], ["'--rung'", "4 is not in the range 0<=x<=3"]),
        (["fit", "a.csv", "--n-sis", "many"], ["'--n-sis'", "needs whole numbers of at least 1", "'many'"]),
        (["discover", "a.csv", "--members", "1"], ["'--members'", "1 is not in the range x>=2"]),
        (
            ["export", "model.json", "--format", "rust"],
            ["'rust' is not one of 'latex', 'sympy', 'python', 'c', 'fortran'"],
        ),
    ],
)
def test_what_was_mistyped_is_told_in_one_line(arguments, told):
    line = refused(*arguments)
    assert line.startswith("error: ")
    assert [part for part in told if part not in line] == []


def test_fit_prints_one_json_document(work):
    document = strict(work.fit.stdout)
    assert document.keys() >= {"models", "n_features", "n_samples", "seconds", "seed"}
    assert (document["n_samples"], document["n_features"]["0"], document["seed"]) == (N_KNOWN, 3, 0)
    assert [model["dimension"] for model in document["models"]] == [1, 2]
    for model in document["models"]:
        assert model.keys() >= {"dimension", "rmse", "max_abs_error", "intercept", "terms"}
        assert len(model["terms"]) == model["dimension"]
        assert 0 < model["rmse"] <= model["max_abs_error"]
    terms = {term["expression"]: term["coefficient"] for term in document["models"][1]["terms"]}
    assert terms == {"E": pytest.approx(-0.5, abs=0.1), "E/q": pytest.approx(3.0, abs=0.1)}
    assert document["models"][1]["intercept"] == pytest.approx(1.0, abs=0.1)
    assert document["models"][1]["rmse"] < 0.03 < document["models"][0]["rmse"]
    assert document["target"] == {"name": "gap", "unit": "eV"}
    assert work.fit.stderr == ""


def test_fit_keeps_the_model_that_it_prints(work):
    model, target, unit = load_model(work.folder / "model.json")
    document = strict(work.fit.stdout)
    assert (target, unit) == ("gap", "eV")
    assert [m.intercept for m in model.models_] == [m["intercept"] for m in document["models"]]
    ensemble, _, _ = load_model(work.folder / "ensemble.json")
    assert (len(ensemble.members_), ensemble.random_state) == (5, 3)
    told = strict(work.ensemble.stdout)
    assert told["seed"] == 3
    assert told["calibration"] == ensemble.calibration_.as_dict()
    assert 1 <= len(told["models"]) <= 3


def test_fit_prints_formulas_and_refuses_to_replace_a_file_unless_told(work):
    other = work.folder / "other.json"
    done = call("fit", "table.csv", *QUICK, "--quiet", "--out", "other.json", folder=work.folder)
    assert f"{N_KNOWN} samples; features: 3 of rung 0" in done.stdout
    assert "gap (eV) =  " in done.stdout
    assert "· E/q" in done.stdout
    assert "2D  RMSE 0.0" in done.stdout
    assert other.read_bytes() == (work.folder / "model.json").read_bytes()
    line = refused("fit", "table.csv", *QUICK, "--out", "other.json", folder=work.folder)
    assert line == "error: other.json: exists already; give another --out, or --force to replace it"
    changed = ("--no-intercept", "--out", "other.json", "--force")
    call("fit", "table.csv", *QUICK, *changed, folder=work.folder)
    again, _, _ = load_model(other)
    assert again.model_.intercept == 0.0
    assert not again.fit_intercept


def test_flags_come_on_top_of_the_file_of_settings(work):
    (work.folder / "settings.toml").write_text('target = "gap"\n[model]\nrung = 0\ndim = 2\nunits = "none"\n')
    done = call(
        "fit", "table.csv", "--config", "settings.toml", "--dim", 1, "--json", "--id", "row", folder=work.folder
    )
    document = strict(done.stdout)
    assert [model["dimension"] for model in document["models"]] == [1]
    assert document["n_features"] == {"0": 3}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["fit", "nowhere.csv"], "error: nowhere.csv: there is no such file"),
        (
            ["fit", "table.csv", "--target", "gapp"],
            "error: table.csv: target column 'gapp' is missing; did you mean 'gap'?",
        ),
        (["fit", "table.csv", "--dropout", "0.3"], "error: dropout: needs --members, found a fit of one model"),
        (["fit", "table.csv", "--max-abs", "inf"], "error: model.max_abs: needs a finite number, found inf"),
        (
            ["fit", "table.csv", "--out", "nofolder/model.json"],
            "error: nofolder/model.json: needs a folder that exists, found no 'nofolder'",
        ),
        (
            ["fit", "table.csv", "--config", "bad.toml"],
            "error: bad.toml: unknown setting 'model.rungs'; did you mean 'rung'?",
        ),
        (
            ["discover", "table.csv", "--oracle", "vasp"],
            "error: oracle: needs none, aims, structure, lookup:FILE, folder:PATH, command:COMMAND or jobflow:MAKER, found 'vasp'",
        ),
        (
            ["discover", "table.csv", "--goal", "lowest", "--out", "never"],
            "error: goal: needs min, max, 'min 10%', '<=0.3', '>=2', '1.2..1.8' or '=CLASS', found 'lowest'",
        ),
        (
            ["discover", "table.csv", "--out", "table.csv/run"],
            "error: table.csv/run: cannot be made a run folder: Not a directory",
        ),
        (["predict", "table.csv", "table.csv"], "error: table.csv: is no model file: needs a JSON document, found: "),
        (["featurize", "numbers.csv"], "error: numbers.csv: needs a text column of formulas, found no text column"),
        (
            ["pool", "--elements", "Xx"],
            "error: candidate oxides: needs elements with a common positive state, found 'Xx'",
        ),
        (["doctor", "--run", "nowhere.out"], "error: nowhere.out: there is no such file"),
        (["export", "model.json", "--dim", "3"], "error: dim: needs one of 1, 2, found 3"),
        (["export", "ensemble.json", "--member", "6"], "error: member: needs a number from 1 to 5, found 6"),
    ],
)
def test_bad_input_is_told_in_one_line_and_exits_2(work, arguments, told):
    (work.folder / "bad.toml").write_text("[model]\nrungs = 2\n")
    (work.folder / "numbers.csv").write_text("x,y\n1,2\n3,4\n")
    assert refused(*arguments, folder=work.folder).startswith(told)
    assert not (work.folder / "never").exists()


def test_debug_shows_the_traceback_and_keeps_the_exit_code(work):
    done = subprocess.run(
        [sys.executable, "-m", "sisso_sal", "fit", "zzz.csv", "--debug"],
        capture_output=True,
        text=True,
        cwd=work.folder,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback (most recent call last):" in done.stderr
    assert "TableError" in done.stderr
    assert done.stderr.endswith("\nerror: zzz.csv: there is no such file\n")


def test_discover_prints_one_json_document(work):
    document = strict(work.step.stdout)
    keys = {"run", "iteration", "n_labelled", "n_candidates", "proposals", "best", "calibration"}
    assert document.keys() >= keys
    assert (document["run"], document["iteration"]) == ("run", 1)
    assert (document["n_labelled"], document["n_candidates"]) == (N_KNOWN, N - N_KNOWN)
    assert len(document["proposals"]) == 3
    frame = materials().set_index("name")
    for proposal in document["proposals"]:
        assert proposal.keys() >= {"id", "mean", "std", "score"}
        assert np.isnan(frame.loc[proposal["id"], "gap (eV)"])
        assert proposal["std"] > 0
    scores = [proposal["score"] for proposal in document["proposals"]]
    assert scores == sorted(scores, reverse=True)
    assert document["best"] == {"id": frame["gap (eV)"].idxmin(), "value": frame["gap (eV)"].min()}
    assert document["calibration"].keys() >= {"coverage95", "miscalibration_area", "scale"}
    assert 0 <= document["calibration"]["coverage95"] <= 1
    assert work.step.stderr == FEW_MEMBERS.format(5)
    assert {p.name for p in (work.folder / "run").iterdir()} >= {
        "campaign.toml",
        "campaign.db",
        "candidates.parquet",
        "iter-0001",
    }


def test_discover_again_shows_what_is_recorded_and_refuses_what_has_changed(work):
    before = contents(work.folder / "run")
    done = call("discover", "table.csv", *STEP, "--out", "run", folder=work.folder)
    assert "Iteration 1 (as recorded; there is no new label): 24 labelled, 12 candidates, goal min" in done.stdout
    assert done.stderr == FEW_MEMBERS.format(5)
    for place, proposal in enumerate(strict(work.step.stdout)["proposals"], 1):
        assert f"\n{place}  {proposal['id']} " in done.stdout
    other = call("discover", "table.csv", *STEP, "--out", "run", "--goal", "max", folder=work.folder, code=2)
    head = "error: run: this run was started with other inputs; give another --out, or undo these changes:"
    assert (other.stdout, other.stderr) == ("", f"{FEW_MEMBERS.format(5)}{head}\n  goal: min -> max\n")
    forgotten = call("discover", "table.csv", "--out", "run", folder=work.folder, code=2).stderr
    assert forgotten.splitlines()[-1] == "to give the options of the run again, add --config run/campaign.toml"
    again = call("discover", "table.csv", "--out", "run", "--config", "run/campaign.toml", folder=work.folder)
    assert again.stdout == done.stdout
    assert contents(work.folder / "run") == before


def test_a_run_that_another_process_drives_exits_75_within_two_seconds_and_stays_as_it_is(work):
    shell("--version")
    with Ledger(work.folder / "run"):
        before = contents(work.folder / "run")
        start = time.monotonic()
        line = refused("discover", "table.csv", *STEP, "--out", "run", folder=work.folder, code=75, run=shell)
        assert time.monotonic() - start < 2.0
        assert contents(work.folder / "run") == before
    assert line.startswith(f"error: run: another process is driving this run (process {os.getpid()} on ")
    assert line.endswith("; wait for it, or end it with sisso-sal stop run")


def test_discover_makes_features_where_there_are_only_formulas_and_a_target(tmp_path):
    gaps = {"MgO": 7.8, "CaO": 7.1, "Al2O3": 8.8, "TiO2": 3.2, "SrTiO3": 3.3, "ZnO": 3.4, "SiO2": 9.0, "Li2O": 8.0}
    rows = [*gaps.items(), ("BaO", ""), ("ZrO2", ""), ("NaCl", ""), ("Xx2O3", "")]
    (tmp_path / "oxides.csv").write_text("formula,gap (eV)\n" + "".join(f"{f},{gap}\n" for f, gap in rows))
    arguments = ("discover", "oxides.csv", "--rung", 1, "--dim", 1, "--n-sis", 5, "--members", 4, "--threads", 1)
    done = call(*arguments, "--json", folder=tmp_path)
    document = strict(done.stdout)
    assert document["run"] == "runs/oxides"
    assert (document["n_labelled"], document["n_candidates"]) == (8, 2)
    assert {p["id"] for p in document["proposals"]} <= {"BaO", "ZrO2"}
    few, _, others = done.stderr.partition("\n")
    assert few + "\n" == FEW_MEMBERS.format(4)
    notes = others.splitlines()
    assert notes[0].startswith("note: features made from formulas: r_cov, r_vdw, r_cat, alpha, ")
    assert notes[1] == "note: 2 rows left out:"
    assert notes[2] == "  NaCl: needs an oxide: oxygen and at least one other element"
    assert notes[3].startswith("  Xx2O3: needs elements of the table, found Xx")
    assert [note for note in notes[4:] if "Pauling" not in note] == []
    assert not strict(call(*arguments, "--json", folder=tmp_path).stdout)["is_new"]


def test_predict_gives_what_the_model_gives(work):
    done = call("predict", "model.json", "table.csv", "--out", "predictions.csv", folder=work.folder)
    assert (done.stdout, done.stderr[:30]) == ("", "Next: sisso-sal export model.j")
    found = pd.read_csv(work.folder / "predictions.csv")
    assert found.columns.tolist() == ["id", "mean", "valid", "reason"]
    frame = materials()
    model, _, _ = load_model(work.folder / "model.json")
    columns = {"E": frame["E (eV)"].to_numpy(), "r": frame["r (AA)"].to_numpy(), "q": frame["q"].to_numpy()}
    mean, valid = model.predict_with_validity(columns)
    assert found["id"].tolist() == frame["name"].tolist()
    assert found["mean"].to_numpy() == pytest.approx(mean, rel=1e-15)
    assert found["valid"].tolist() == valid.tolist()
    line = refused("predict", "model.json", "table.csv", "--out", "predictions.csv", folder=work.folder)
    assert line == "error: predictions.csv: exists already; give another --out, or --force to replace it"


def test_predict_finds_columns_in_any_order_and_converts_units(work):
    frame = materials().rename(columns={"E (eV)": "E (meV)", "r (AA)": "r (nm)"})
    frame["E (meV)"] *= 1000
    frame["r (nm)"] /= 10
    frame["note"] = "n/a"
    frame[["q", "note", "r (nm)", "name", "E (meV)"]].to_csv(work.folder / "other.csv", index=False)
    done = call("predict", "model.json", "other.csv", "--json", "--id", "name", folder=work.folder)
    document = strict(done.stdout)
    assert document["target"] == {"name": "gap", "unit": "eV"}
    plain = strict(call("predict", "model.json", "table.csv", "--json", folder=work.folder).stdout)
    assert [row["id"] for row in document["predictions"]] == [row["id"] for row in plain["predictions"]]
    assert [row["mean"] for row in document["predictions"]] == pytest.approx(
        [row["mean"] for row in plain["predictions"]], rel=1e-12
    )
    assert {row["valid"] for row in plain["predictions"]} <= {True, False}


def test_predict_prints_null_and_a_count_where_there_is_no_prediction(work):
    frame = materials()[:4].drop(columns="gap (eV)")
    frame.loc[1, "q"] = 0.0
    frame.loc[2, ["E (eV)", "r (AA)", "q"]] = [1e6, 1e11, 1e3]
    frame.to_csv(work.folder / "odd.csv", index=False)
    done = call("predict", "model.json", "odd.csv", "--json", folder=work.folder)
    rows = strict(done.stdout)["predictions"]
    assert [row["mean"] is None for row in rows] == [False, True, False, False]
    assert [row["valid"] for row in rows] == [True, False, False, True]
    assert done.stderr == "note: 1 of 4 rows have no prediction: division by zero (1)\n"
    told = ["", "division by zero", "outside the training range of a descriptor", ""]
    assert [row["reason"] for row in rows] == told
    done = call("predict", "ensemble.json", "odd.csv", "--json", folder=work.folder)
    rows = strict(done.stdout)["predictions"]
    told = [
        "id",
        "mean",
        "std",
        "std_raw",
        "low95",
        "high95",
        "formulas_mean",
        "n_valid",
        "outside",
        "distance",
        "reason",
    ]
    assert list(rows[0]) == told
    assert rows[0]["low95"] < rows[0]["mean"] < rows[0]["high95"]
    assert (rows[2]["low95"], rows[2]["high95"], rows[2]["outside"]) == (None, None, 1.0)
    assert rows[0]["distance"] < 2 < 1e3 < rows[2]["distance"]
    assert (rows[2]["mean"], rows[2]["std"], rows[2]["std_raw"]) == (None, None, None)
    assert rows[2]["n_valid"] < 3  # of five
    assert (rows[0]["mean"] is None, rows[0]["n_valid"]) == (False, 5)
    assert "note: 1 of 4 rows have no prediction: outside the training range of a descriptor (1)\n" in done.stderr


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (
            {"q": "charge"},
            "error: bad.csv: there is no column 'q'; columns are name, gap, E, r, charge (the formula uses it)",
        ),
        ({"E (eV)": "E (AA)"}, "error: bad.csv: column 'E': needs a unit that converts to 'eV', found 'AA'"),
        ({"q": "q (eV)"}, "error: bad.csv: column 'q': needs a unit that converts to 'none', found 'eV'"),
    ],
)
def test_predict_refuses_a_missing_column_and_a_unit_that_does_not_fit(work, names, told):
    materials().rename(columns=names).to_csv(work.folder / "bad.csv", index=False)
    assert refused("predict", "model.json", "bad.csv", folder=work.folder) == told


UNUSED = """\
id,y,a,b,c
m0,2.10,1.0,2.0,7.1
m1,3.15,1.5,2.1,3.3
m2,3.06,1.8,1.7,5.9
m3,2.53,2.3,1.1,4.2
m4,3.78,2.7,1.4,6.5
m5,4.93,2.9,1.7,1.8
m6,2.42,1.1,2.2,2.4
m7,1.32,1.2,1.1,6.8
m8,3.91,1.7,2.3,5.1
m9,5.29,2.3,2.3,4.9
m10,2.89,1.7,1.7,3.6
m11,1.95,1.3,1.5,7.7
m12,4.62,2.2,2.1,6.2
m13,3.36,2.8,1.2,2.9
"""


@pytest.fixture(scope="module")
def unused(tmp_path_factory):
    """Models that do not use column c, and a table that lacks it and has another one."""
    folder = tmp_path_factory.mktemp("unused")
    (folder / "train.csv").write_text(UNUSED)
    frame = pd.read_csv(folder / "train.csv").drop(columns=["y", "c"])
    frame[["id", "b", "a"]].assign(remark="x").to_csv(folder / "new.csv", index=False)
    options = ("--target", "y", "--rung", 1, "--dim", 1, "--operators", "mult", "--threads", 1, "-q")
    ensemble = (*options, "--members", 4, "--dropout", 0, "--no-adapt")
    call("fit", "train.csv", *options, "--out", "one.json", folder=folder)
    call("fit", "train.csv", *ensemble, "--correction", "none", "--out", "formulas.json", folder=folder)
    call("fit", "train.csv", *ensemble, "--members", 20, "--out", "corrected.json", folder=folder)
    return folder


@pytest.mark.parametrize("model", ["one.json", "formulas.json"])
def test_predict_needs_only_what_the_formulas_use(unused, model):
    """The distance to the labelled materials is the only other result, and its absence is told."""
    whole = strict(call("predict", model, "train.csv", "--json", folder=unused).stdout)["predictions"]
    done = call("predict", model, "new.csv", "--json", folder=unused)
    rows = strict(done.stdout)["predictions"]
    assert len(rows) == 14
    if model == "one.json":
        assert rows == whole
        assert done.stderr == "note: 1 column is not used as a feature: 'remark' (not a chosen feature)\n"
    else:
        assert [row | {"distance": None} for row in whole] == rows
        assert "column 'c' is missing" in done.stderr
        assert "no formula uses it, only the distance to the labelled materials is left out" in done.stderr


@pytest.mark.parametrize("model", ["one.json", "formulas.json"])
def test_a_gap_in_a_feature_that_no_formula_uses_costs_no_prediction(unused, model, tmp_path):
    pd.read_csv(io.StringIO(UNUSED.replace(",7.1", ",").replace(",3.3", ","))).to_csv(
        tmp_path / "gaps.csv", index=False
    )
    rows = strict(call("predict", unused / model, "gaps.csv", "--json", folder=tmp_path).stdout)["predictions"]
    whole = strict(call("predict", unused / model, unused / "train.csv", "--json", folder=tmp_path).stdout)[
        "predictions"
    ]
    assert [row["mean"] for row in rows] == [row["mean"] for row in whole]


def test_predict_asks_for_what_the_correction_was_learned_from(unused):
    line = refused("predict", "corrected.json", "new.csv", folder=unused)
    assert line.startswith("error: new.csv: there is no column 'c'")
    assert line.endswith(
        "(no formula uses it, but the correction was learned from it; fit with --correction none for formulas alone)"
    )


def test_predict_and_export_take_the_newest_iteration_of_a_run(work):
    table = ("predict", "run", "table.csv", "--json")
    rows = strict(call(*table, folder=work.folder).stdout)["predictions"]
    file = work.folder / "run" / "iter-0001" / "model.json"
    assert rows == strict(call("predict", file, "table.csv", "--json", folder=work.folder).stdout)["predictions"]
    recorded = pd.read_csv(work.folder / "run" / "iter-0001" / "predictions.csv").set_index("id")["mean"]
    assert {row["id"]: row["mean"] for row in rows} == pytest.approx(recorded.to_dict(), rel=1e-12)
    sources = [
        call("export", path, "--format", "python", folder=work.folder).stdout for path in ("run", file, file.parent)
    ]
    assert len({*sources}) == 1


def test_a_folder_without_formulas_is_told(work, tmp_path):
    assert refused("export", tmp_path) == f"error: {tmp_path}: needs a model file or a run folder, found another folder"
    shutil.copytree(work.folder / "run", tmp_path / "run")
    file = tmp_path / "run" / "iter-0001" / "model.json"
    file.write_text(file.read_text().replace('"n_singular": 0', '"n_singular": 1'))
    line = refused("predict", tmp_path / "run", "table.csv", folder=work.folder)
    again = "the next discover makes the files of the newest iteration again"
    assert line == f"error: {file}: differs from what was written; {again}"
    file.unlink()
    line = refused("export", tmp_path / "run", folder=work.folder)
    assert line == f"error: {file}: cannot be read: No such file or directory; {again}"
    with Ledger(tmp_path / "begun"):
        pass
    line = refused("export", tmp_path / "begun", folder=work.folder)
    assert line == f"error: {tmp_path}/begun: needs an iteration with a model, found none; run discover first"


def test_a_run_without_formulas_says_so_and_keeps_no_settings_of_formulas(work):
    done = call("discover", "table.csv", "--surrogate", "forest", "--out", "woods", folder=work.folder)
    assert "flags: F, far from all labelled materials" in done.stdout
    assert "formulas extrapolate" not in done.stdout
    told = (
        "error: woods: needs a run with formulas, found the surrogate 'forest', which has none; its predictions are in "
        "woods/iter-0001/predictions.csv"
    )
    assert refused("export", "woods", folder=work.folder) == told
    assert refused("predict", "woods", "table.csv", folder=work.folder) == told
    text = (work.folder / "woods" / "campaign.toml").read_text()
    assert "[model]" not in text
    assert "[ensemble]" not in text
    assert "[run]" in text
    again = call("discover", "table.csv", "--config", "woods/campaign.toml", "--out", "woods", folder=work.folder)
    assert "as recorded" in again.stdout


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("options", [(), ("--members", 3)])
def test_fit_refuses_too_few_labels_in_one_line(n, options, tmp_path):
    frame = materials()
    frame["gap (eV)"] = frame["gap (eV)"].where(frame["gap (eV)"].notna().cumsum() <= n)
    frame.to_csv(tmp_path / "few.csv", index=False)
    line = refused("fit", "few.csv", "--target", "gap", "--dim", 2, *options, folder=tmp_path)
    if n:
        assert line == f"error: few.csv: needs at least 4 labelled rows for dim 2, found {n}"
        told = refused("discover", "few.csv", "--target", "gap", "--dim", 2, folder=tmp_path)
        assert told == line
    else:
        assert line == "error: few.csv: target column 'gap (eV)' needs a known value, found none"


def test_labels_that_are_all_equal_are_told_by_fit_and_discover(tmp_path):
    frame = materials()
    frame["gap (eV)"] = frame["gap (eV)"].where(frame["gap (eV)"].isna(), 2.5)
    frame.to_csv(tmp_path / "equal.csv", index=False)
    for command in ("fit", "discover"):
        line = refused(command, "equal.csv", *QUICK, folder=tmp_path)
        assert line == "error: equal.csv: needs a target that varies, found 2.5 on every sample"


OUTSIDE = (
    """\
id,y,a,b
"""
    + "".join(
        f"m{i},{np.log(1.2 + 0.1 * i) / (0.6 + 0.07 * ((7 * i) % 20)):.4f},{1.2 + 0.1 * i:.2f},{0.6 + 0.07 * ((7 * i) % 20):.2f}\n"
        for i in range(20)
    )
    + """\
c0,,-1,1
c1,,0,1
c2,,2,0
c3,,1e-9,1
c4,,2.5,1
"""
)


def test_each_reason_for_no_prediction_is_told_with_its_number(tmp_path):
    """In the same words in the terminal, the JSON, the page and the predictions."""
    (tmp_path / "outside.csv").write_text(OUTSIDE)
    options = (
        "--operators",
        "log,div",
        "--rung",
        2,
        "--dim",
        1,
        "--members",
        5,
        "--dropout",
        0,
        "--no-adapt",
        "--threads",
        1,
    )
    call("discover", "outside.csv", *options, "--out", "run", folder=tmp_path)
    reasons = [
        "log of a negative number",
        "log of zero",
        "division by zero",
        "outside the training range of a descriptor",
    ]
    done = call("discover", "outside.csv", *options, "--out", "run", "--json", folder=tmp_path)
    summary = strict(done.stdout)
    assert (summary["n_without_prediction"], summary["without_prediction"]) == (4, dict.fromkeys(reasons, 1))
    assert sum(summary["invalid_predictions"].values()) == summary["n_invalid_predictions"] >= 20
    counts = ", ".join(f"{reason} (1)" for reason in sorted(reasons))
    shown = call("discover", "outside.csv", *options, "--out", "run", folder=tmp_path).stdout
    assert f"4 candidates have no prediction: {counts}\n" in shown
    assert f"4 candidates have no prediction: {counts}." in (tmp_path / "run" / "report.html").read_text()
    table = pd.read_csv(tmp_path / "run" / "iter-0001" / "predictions.csv").set_index("id")["reason"]
    assert table[["c0", "c1", "c2", "c3"]].tolist() == reasons
    assert table.drop(["c0", "c1", "c2", "c3"]).isna().all()
    done = call("predict", "run", "outside.csv", folder=tmp_path)
    assert f"note: 4 of 25 rows have no prediction: {counts}\n" in done.stderr


def test_a_label_that_hides_all_others_is_named_and_can_be_replaced(work, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(work.folder / "run", run)
    first = strict(work.step.stdout)["proposals"][0]["id"]
    call("label", run, first, "-1e100")
    line = refused("discover", "table.csv", *STEP, "--out", run, folder=work.folder)
    assert line.startswith("error: target 'gap': the label -1e+100 lies so far from the others (")
    call("label", run, first, "2.5", "--replace")
    done = call("discover", "table.csv", *STEP, "--out", run, "--json", folder=work.folder)
    assert strict(done.stdout)["n_labelled"] == N_KNOWN + 1


def test_featurize_adds_columns_and_counts_what_it_leaves_out(tmp_path):
    (tmp_path / "in.csv").write_text("formula,gap (eV)\nMgO,7.8\nNaCl,8.5\nTiO2,\n")
    done = call("featurize", "in.csv", folder=tmp_path)
    (tmp_path / "out.csv").write_text(done.stdout)
    found = pd.read_csv(tmp_path / "out.csv")
    assert found["formula"].tolist() == ["MgO", "TiO2"]
    assert found.columns[:3].tolist() == ["formula", "gap (eV)", "r_cov (AA)"]
    assert found["gap (eV)"][0] == 7.8
    assert np.isnan(found["gap (eV)"][1])
    assert found["max_OS"].tolist() == [2.0, 4.0]
    told = "note: 1 rows left out:\n  NaCl: needs an oxide: oxygen and at least one other element\n"
    assert done.stderr == f"{told}Next: add a column with the known values, then sisso-sal discover FILE\n"


def test_pool_and_featurize_leave_out_what_has_excluded_elements(tmp_path):
    free = call("pool", "--elements", "Ti,Pb,U", "--out", "all.csv", folder=tmp_path)
    assert "left out" not in free.stderr
    done = call("pool", "--elements", "Ti,Pb,U", "--exclude-elements", "toxic", "--out", "few.csv", folder=tmp_path)
    names, kept = (pd.read_csv(tmp_path / name)["formula"].tolist() for name in ("all.csv", "few.csv"))
    assert kept == [name for name in names if "Pb" not in name and "U" not in name]
    assert f"{len(names) - len(kept)} rows left out" in done.stderr
    made = call("featurize", "all.csv", "--only-elements", "Ti,Pb", "--json", folder=tmp_path)
    document = strict(made.stdout)
    assert [row["formula"] for row in document["rows"]] == [name for name in names if "U" not in name]
    assert {row["reason"] for row in document["left_out"]} == {"contains U"}
    assert refused("pool", "--exclude-elements", "toxc", folder=tmp_path).endswith("did you mean 'toxic'?")


def test_groups_of_elements_are_shown_with_their_sources():
    for command in ("discover", "pool", "featurize", "pareto"):
        shown = call(command, "--element-groups").stdout
        assert "toxic: compounds restricted or classified" in shown
        assert shown.count("source: ") == 5


def test_pool_prints_candidates_as_csv(tmp_path):
    done = call("pool", "--elements", "Ti,Sr,Ba", "--features", "--out", "pool.csv", folder=tmp_path)
    found = pd.read_csv(tmp_path / "pool.csv")
    assert {"SrTiO3", "BaTiO3"} <= set(found["formula"])
    assert found.columns[:3].tolist() == ["formula", "prototypes", "oxidation_states"]
    assert "r_cov (AA)" in found.columns
    assert not found["formula"].duplicated().any()
    assert (done.stdout, done.stderr.splitlines()[-2]) == ("", f"note: {len(found)} candidate oxides")
    assert call("pool", "--elements", "Mg", "--metals", "1", folder=tmp_path).stdout.splitlines()[1].startswith("MgO,")


def test_pool_of_three_metals_has_no_prototypes(tmp_path):
    done = call("pool", "--elements", "Ti,Sr,Fe", "--metals", "2,3", "--max-index", "1", "--json", folder=tmp_path)
    rows = strict(done.stdout)["rows"]
    assert rows[-1] == {"formula": "SrFeTiO4", "prototypes": "", "oxidation_states": "Sr+2 Fe+2 Ti+4"}
    assert all(row["prototypes"] for row in rows[:-1])
    told = refused("pool", "--metals", "3", "--max-index", "4", folder=tmp_path)
    assert "needs at most 1000000 oxides of three metals for a table, found 3406142: name fewer --elements" in told
    assert told.endswith("sisso-sal screen MODEL oxides:max_metals=3,max_index=4")


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("latex", r"\begin{align}"),
        ("sympy", "expression = "),
        ("c", "double sisso_predict("),
        ("fortran", "module sisso_model"),
    ],
)
def test_a_model_is_exported_in_each_other_form(work, form, told):
    out = work.folder / f"export.{form}"
    done = call("export", "model.json", "--format", form, "--out", out, "--quiet", folder=work.folder)
    assert (done.stdout, done.stderr) == ("", "")
    text = out.read_text()
    assert told in text
    assert "eV" in text
    if form == "sympy":
        compile(text, str(out), "exec")


@pytest.mark.parametrize("recalibrate", [("--recalibrate", "scale"), ()])
def test_exported_python_predicts_what_predict_predicts(recalibrate, work):
    """But for sigmas of several widths: of these the export has the median."""
    options = (*QUICK, "--members", 5, "--seed", 3, "--correction", "none", *recalibrate, "--positive", "no")
    call("fit", "table.csv", *options, "--out", "formulas.json", "--force", folder=work.folder)
    rows = strict(call("predict", "formulas.json", "table.csv", "--json", folder=work.folder).stdout)["predictions"]
    assert [row["formulas_mean"] for row in rows] == [row["mean"] for row in rows]
    made = {}
    exec(call("export", "formulas.json", "--format", "python", folder=work.folder).stdout, made)
    frame = materials()
    named = {"E": "E (eV)", "q": "q", "r": "r (AA)"}
    ensemble, _, _ = load_model(work.folder / "formulas.json")
    used = {name for member in ensemble.members_ for name in member.primaries()}
    mean, std = made["predict"](**{name: frame[named[name]].to_numpy() for name in used})
    expected = np.array([[row["mean"], row["std"], row["std_raw"]] for row in rows], dtype=float)
    assert mean == pytest.approx(expected[:, 0], rel=1e-12, nan_ok=True)
    assert std == pytest.approx(ensemble.formula_calibration_.scale * expected[:, 2], rel=1e-12, nan_ok=True)
    if recalibrate:
        assert std == pytest.approx(expected[:, 1], rel=1e-12, nan_ok=True)
    else:
        assert 0.5 < np.nanmedian(std / expected[:, 1]) < 2.0
    one = call("export", "formulas.json", "--format", "python", "--member", 2, folder=work.folder).stdout
    made = {}
    exec(one, made)
    member = ensemble.members_[1]
    values = {name: frame[named[name]].to_numpy() for name in member.primaries()}
    assert made["predict"](**values) == pytest.approx(member.predict(values)[0], rel=1e-12)


def test_a_model_of_lower_dimension_can_be_exported(work):
    text = call("export", "model.json", "--format", "latex", "--dim", 1, folder=work.folder).stdout
    intercept = strict(work.fit.stdout)["models"][0]["intercept"]
    assert f"{intercept:.4g}"[:4] in text


def test_doctor_judges_an_output(tmp_path):
    (tmp_path / "aims.out").write_text(AIMS_OUTPUT)
    document = strict(call("doctor", "--run", "aims.out", "--json", folder=tmp_path).stdout)
    keys = {"verdict", "reason", "energy_eV", "gap_eV", "n_atoms", "version"}
    assert document.keys() >= keys
    assert document["verdict"] == "interrupted"
    assert (document["energy_eV"], document["gap_eV"], document["n_atoms"]) == (-200.0, 1.25, 13)
    assert document["version"] == "240920"
    (tmp_path / "empty.out").write_text("")
    document = strict(call("doctor", "--run", "empty.out", "--json", folder=tmp_path).stdout)
    assert (document["verdict"], document["energy_eV"]) == ("failed", None)
    lines = call("doctor", "--run", "aims.out", folder=tmp_path).stdout.splitlines()
    assert lines[0] == "verdict: interrupted"
    assert "n_atoms: 13" in lines


def test_doctor_judges_all_outputs_of_a_folder(tmp_path):
    for name, text in [("a/aims.out", "Invoking FHI-aims ...\n"), ("b/aims.out", "x\n"), ("b/band1001.out", "1 2 3\n")]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    head, *rows = call("doctor", "--run", ".", folder=tmp_path).stdout.splitlines()
    assert head.split() == ["output", "verdict", "energy", "eV", "gap", "eV", "atoms", "reason"]
    assert [row.split()[:2] for row in rows] == [["a/aims.out", "interrupted"], ["b/aims.out", "failed"]]
    document = strict(call("doctor", "--run", ".", "--json", folder=tmp_path).stdout)
    assert [(run["output"], run["verdict"]) for run in document["runs"]] == [tuple(row.split()[:2]) for row in rows]


def test_doctor_looks_at_the_installation():
    environment = {key: value for key, value in os.environ.items() if not key.startswith("AIMS_")}
    done = subprocess.run([*COMMAND, "doctor", "--json"], capture_output=True, text=True, env=environment, check=False)
    checks = {check["name"]: check["status"] for check in strict(done.stdout)["checks"]}
    assert checks.keys() >= {"python", "numpy", "numba compiler", "cores", "FHI-aims"}
    assert set(checks.values()) <= {"ok", "missing", "problem"}
    assert done.returncode == (1 if "problem" in checks.values() else 0)


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.uniform(1, 2, (200, 30)).round(5), columns=[f"f{i}" for i in range(30)])
    frame.insert(0, "y (eV)", np.where(np.arange(200) < 150, rng.normal(size=200).round(5), np.nan))
    frame.to_csv(folder / "large.csv", index=False)
    frame.iloc[:, :17].to_csv(folder / "long.csv", index=False)  # minutes of search in a space that is made in a second
    return folder


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["fit"], id="fit", marks=pytest.mark.faults),
        pytest.param(["discover", "--out", "run"], id="discover"),
    ],
)
def test_an_interrupt_ends_a_long_search_at_once(large, command):
    name, *rest = command
    heavy = (
        "--target",
        "y",
        "--rung",
        "3",
        "--dim",
        "2",
        "--operators",
        "add,mult",
        "--max-features",
        str(10**12),
        *rest,
    )
    child = subprocess.Popen(
        [sys.executable, "-m", "sisso_sal", name, "long.csv", *heavy],
        cwd=large,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stderr is not None
        plan = child.stderr.readline()
        time.sleep(3)  # kernels are loaded now; while they are, a signal can be lost
        start = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert "features, screened 2 times" in plan
    assert "GiB" in plan
    assert time.monotonic() - start < 20
    assert child.returncode == 130, err
    *progress, err = err.splitlines()  # progress is told now and then, where it takes long
    if progress and progress[-1] == "":
        progress.pop()  # the end of the line in which a terminal shows ^C
    assert err.startswith("error: interrupted")
    assert [line for line in progress if not line.startswith("screening: ")] == []
    if name == "fit":
        assert (out == "") == (err == "error: interrupted")  # it depends on what was compiled before
        assert out == "" or "1D  RMSE" in out
    if name == "discover":
        assert out == ""
        kinds = {event["event"] for event in read_ledger(large / "run").events()}
        assert "created" in kinds
        assert "proposal" not in kinds
        assert [p.name for p in (large / "run").iterdir() if p.name.startswith("iter")] == []


@pytest.mark.parametrize(
    ("options", "found", "advice"),
    [
        (("--rung", "2", "--max-features", "100000"), "at most 1e+05 (--max-features) features of rung 2", "--rung 1"),
        (("--rung", "3"), "GiB are free) features of rung 2", "--max-complexity 2"),
        (("--n-sis", "100000", "--dim", "3", "--rung", "2"), " subsets: needs", "--n-sis"),
    ],
)
def test_what_cannot_fit_is_refused_with_advice(large, options, found, advice):
    line = refused("fit", "large.csv", "--target", "y", *options, folder=large)
    assert found in line
    assert advice in line


def test_a_reader_that_stops_early_is_no_error(tmp_path):
    """Like ``sisso-sal pool | head -1``: no traceback and no complaint."""
    child = subprocess.Popen(
        [*COMMAND, "pool"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    with child:
        assert child.stdout.readline().startswith("formula,prototypes,oxidation_states")
        child.stdout.close()
        told = child.stderr.read()
    assert "Traceback" not in told
    assert "Error" not in told


def test_a_numeric_first_column_that_counts_rows_is_pointed_out(tmp_path):
    rows = "\n".join(f"{1000 + i},{1 + (i * 7) % 5},{2.5 + 0.3 * i if i % 3 else ''}" for i in range(12))
    path = tmp_path / "numbered.csv"
    path.write_text(f"id,a,gap\n{rows}\n")
    options = ["--rung", "0", "--dim", "1", "--members", "3", "--out", str(tmp_path / "run")]
    found = call("discover", str(path), *options)
    assert "note: 'id' numbers the rows but is used as a primary feature; --id id makes it the id" in found.stderr


def test_predict_makes_the_features_that_fit_made_from_formulas(tmp_path):
    path = tmp_path / "oxides.csv"
    formulas = ["MgO", "CaO", "SrO", "BaO", "ZnO", "Al2O3", "TiO2", "ZrO2", "HfO2", "La2O3"]
    path.write_text("formula,gap\n" + "\n".join(f"{f},{i * i % 7 + 0.5}" for i, f in enumerate(formulas)) + "\n")
    call("fit", str(path), "--target", "gap", "--rung", "0", "--dim", "1", "--out", str(tmp_path / "m.json"))
    found = call("predict", str(tmp_path / "m.json"), str(path))
    assert "the model's features were made from formulas" in found.stderr
    assert [line.split(",")[0] for line in found.stdout.splitlines()] == ["id", *formulas]


def test_what_featurize_replaces_and_what_it_cannot_use_is_said(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("formula,EA (eV),note\nMgO,9.9,x\nTiO2,9.9,y\n")
    found = call("featurize", str(path))
    assert "note: replaced by the values made from formulas: EA (eV)" in found.stderr
    assert "9.9" not in found.stdout
    path.write_text("formula\nGaAs\nGaN\n")
    assert refused("featurize", path).startswith(f"error: {path}: needs formulas of oxides in 'formula'; GaAs: ")


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (
            "np.empty(10**17)",
            "Unable to allocate 711. PiB for an array with shape (100000000000000000,) and data type float64",
        ),
        ("raise_it(MemoryError())", "the memory does not suffice"),
    ],
)
def test_too_little_memory_is_no_defect(cause, line):
    code = f"""
import numpy as np
from sisso_sal import cli

def raise_it(error):
    raise error

cli.cli.main = lambda *_, **__: {cause}
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: {line} (fewer labels, candidates or members need less memory)\n"
