"""A campaign that starts from calculations that were done already, by the commands as a person calls them."""

import json
import shutil

import pandas as pd
import pytest
from done_calculations import HYDROGEN, WATER, metal_of, rocksalt, write_run, wurtzite
from test_commands import call, refused, strict

from sisso_sal import Campaign

METALS = ("Mg", "Ca", "Sr", "Ba", "Zn", "Cd", "Ni", "Mn")
MODEL = ("--rung", 0, "--dim", 1, "--members", 4, "--correction", "none", "--batch", 2, "--threads", 1)
FORMATION = '[label]\nquantity = "formation_energy"\n'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Eight oxides, two of them without their metal, one with a failed structure, and one calculation with another functional."""
    folder = tmp_path_factory.mktemp("made")
    own = folder / "own"
    for number, metal in enumerate(METALS):
        write_run(own / f"{metal}O", rocksalt(metal), -10.0 - number)
        if metal not in ("Ni", "Mn"):
            write_run(own / metal, metal_of(metal), -2.0 - number)
    write_run(own / "water", WATER, -14.2)
    write_run(own / "hydrogen", HYDROGEN, -6.8)
    write_run(own / "ZnO-failed", wurtzite("Zn"), ends="scf")
    write_run(own / "Ni-hybrid", metal_of("Ni"), -4.0, xc="hse06")
    (folder / "formation.toml").write_text(FORMATION)
    rows = {
        "formula": [f"{metal}O" for metal in (*METALS, "Be", "Co")],
        "a (eV)": [1.0 + (3 * n) % 10 for n in range(10)],
    }
    pd.DataFrame(rows).to_csv(folder / "candidates.csv", index=False)
    return folder


@pytest.fixture
def work(made, tmp_path):
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def by_hand(number):
    oxygen = -14.2 - 0.11 - (-6.8 - 0.14) + 2.4583
    return (-10.0 - number - (-2.0 - number) / 2 - oxygen) / 2


def discover(folder, *more, code=0):
    words = ("discover", "candidates.csv", "--oracle", "folder:own", "--config", "formation.toml", *MODEL, *more)
    return call(*words, folder=folder, code=code)


def label_events(folder):
    events = [json.loads(line) for line in call("ledger", "runs/candidates", folder=folder).stdout.splitlines()]
    return {event["id"]: event for event in events if event["event"] == "label"}


def test_a_campaign_begins_with_the_labels_of_a_folder_and_goes_on_when_there_are_more(work):
    done = discover(work, "--json")
    summary = strict(done.stdout)
    assert summary["target"] == {"name": "formation_energy", "unit": "eV/atom"}
    assert summary["n_labelled"] == 5
    assert {row["id"] for row in summary["proposals"]} <= {"ZnO", "NiO", "MnO", "BeO", "CoO"}
    labels = label_events(work)
    assert {id: event["value"] for id, event in labels.items()} == pytest.approx(
        {"MgO": by_hand(0), "CaO": by_hand(1), "SrO": by_hand(2), "BaO": by_hand(3), "CdO": by_hand(5)}
    )
    assert {(event["source"], event["calculation"]) for event in labels.values()} >= {("folder", "MgO/aims.out")}
    for line in (
        "note: own: 18 calculations, 17 can be used; left out 1 scf_not_converged",
        "note: 1 calculation with other settings is not used: xc (1)",
        "note: formation_energy is known for 5 of 10 candidates (2 not computed, 3 computed, but the label is not known)",
        "note: recorded: 5 labels of calculations that were done already",
    ):
        assert line in done.stderr.splitlines()
    first = summary["proposals"][0]["id"]
    by_person = f"sisso-sal label runs/candidates {first} VALUE, for this and the others"
    told = f"calculate {first} and the others in own, or {by_person}; then run the discover command again"
    assert summary["campaign"]["next"] == told

    assert strict(discover(work, "--json").stdout)["iteration"] == 1  # nothing is new
    write_run(work / "own" / "Ni", metal_of("Ni"), -8.0)
    preview = strict(discover(work, "--dry-run", "--json").stdout)
    assert (preview["n_labelled"], preview["is_new"]) == (6, True)
    again = strict(discover(work, "--json").stdout)
    assert (again["iteration"], again["n_labelled"]) == (2, 6)
    assert label_events(work)["NiO"]["value"] == pytest.approx(by_hand(6))
    assert "none changed" in call("ledger", "runs/candidates", "--verify", folder=work).stdout


def test_a_label_that_changed_stays_until_it_is_replaced(work):
    discover(work)
    write_run(work / "own" / "MgO-lower", rocksalt("Mg", 4.1), -12.0)
    told = discover(work).stderr
    assert (
        f"other labels now follow from the calculations (MgO {by_hand(0):.6g} -> {by_hand(0) - 1:.6g}); the recorded ones stay"
        in told
    )
    assert label_events(work)["MgO"]["value"] == pytest.approx(by_hand(0))
    kept = call("label", "runs/candidates", "--from", "folder:own", folder=work)
    assert "1 label of the run differs and stays (MgO" in kept.stderr
    assert "nothing new" in kept.stdout
    assert (
        "1 event written" in call("label", "runs/candidates", "--from", "folder:own", "--replace", folder=work).stdout
    )
    event = label_events(work)["MgO"]
    assert (event["value"], event["calculation"]) == (pytest.approx(by_hand(0) - 1), "MgO-lower/aims.out")


def test_labels_of_a_folder_join_a_campaign_of_people(work):
    """A table with labels of its own, no oracle; its labels stay, and the folder fills others."""
    frame = pd.read_csv(work / "candidates.csv")
    frame["formation_energy (eV/atom)"] = [1.0, 2.0, 3.0, 4.0, *[None] * 6]
    frame.to_csv(work / "candidates.csv", index=False)
    call("discover", "candidates.csv", "--config", "formation.toml", *MODEL, folder=work)
    done = call("label", "runs/candidates", "--from", "folder:own", "--json", folder=work)
    assert strict(done.stdout)["n_events"] == 1
    assert "4 labels of the run differ and stay" in done.stderr
    events = label_events(work)
    assert (events["CdO"]["source"], events["MgO"]["source"], events["MgO"]["value"]) == ("folder", "table", 1.0)


def test_a_label_with_vibrations_takes_none_of_a_folder(work):
    """Its calculations are of solids at rest; a label without is no label of this run."""
    (work / "oracles").mkdir()
    (work / "oracles" / "own_calculator.py").write_text("from ase.calculators.emt import EMT\n")
    frame = pd.read_csv(work / "candidates.csv")
    frame["formation_energy (eV/atom)"] = [1.0, 2.0, 3.0, 4.0, *[None] * 6]
    frame.to_csv(work / "candidates.csv", index=False)
    (work / "vibrating.toml").write_text(
        f'{FORMATION}vibrations = "own_calculator:EMT"\noxygen_energy = -4.9\n[calculation]\ncalculator = "own_calculator:EMT"\n'
        '[run]\noracle = "structure"\ncalculations = 0\n'
    )
    call("discover", "candidates.csv", "--config", "vibrating.toml", "--once", *MODEL, folder=work, code=0)
    told = refused("label", "runs/candidates", "--from", "folder:own", folder=work)
    assert "label.vibrations: needs an oracle aims or structure or jobflow:MAKER, found 'folder:own'" in told


def test_an_oracle_that_goes_on_after_a_folder_is_told_apart_once(work):
    discover(work)
    (work / "truth.csv").write_text("formula,formation_energy (eV/atom)\nZnO,-1.0\nBeO,-2.0\nCoO,-3.0\nMnO,-2.5\n")
    words = (
        "discover",
        "candidates.csv",
        "--oracle",
        "lookup:truth.csv",
        "--config",
        "formation.toml",
        *MODEL,
        "--once",
    )
    line = (
        "5 labels are of calculations that were done already; whether 'lookup:truth.csv' computes with their settings"
    )
    assert line in call(*words, folder=work).stderr
    assert line not in call(*words, folder=work).stderr
    write_run(work / "own" / "Ni", metal_of("Ni"), -8.0)
    computed = sum(event["source"] == "oracle" for event in label_events(work).values())
    assert computed
    preview = call("label", "runs/candidates", "--from", "folder:own", folder=work).stderr
    assert f"an oracle computed {computed} label" in preview
    assert label_events(work)["NiO"]["source"] == "folder"


LEVELS = """
[label]
quantity = "energy_per_atom"
calculated_with = { xc = "hse06 0.11 1/bohr" }

[[level]]
name = "pbe"
cost = 1
column = "E_pbe (eV/atom)"
oracle = "folder:own"
label = { quantity = "energy_per_atom", calculated_with = { xc = "pbe" } }

[[level]]
name = "hse06"
cost = 10
column = "E_hse (eV/atom)"
oracle = "folder:own"
"""


def test_two_functionals_in_one_folder_are_two_levels(made, tmp_path):
    shutil.copy(made / "candidates.csv", tmp_path)
    for number, metal in enumerate((*METALS, "Be", "Co")):
        write_run(tmp_path / "own" / "pbe" / metal, rocksalt(metal), -10.0 - number)
        if number < 6:
            write_run(tmp_path / "own" / "hse" / metal, rocksalt(metal), -11.0 - 1.1 * number, xc="hse06")
    (tmp_path / "levels.toml").write_text(LEVELS)
    summary = strict(
        call("discover", "candidates.csv", "--config", "levels.toml", *MODEL, "--json", folder=tmp_path).stdout
    )
    assert (summary["target"]["name"], summary["n_labelled"]) == ("E_hse", 6)
    events = [json.loads(line) for line in call("ledger", "runs/candidates", folder=tmp_path).stdout.splitlines()]
    levels = [event.get("level", "") for event in events if event["event"] == "label"]
    assert (levels.count("pbe"), levels.count("")) == (10, 6)
    # The hybrid energies are 1.1 times the others, and the model says so of the four that have none.
    predicted = {row["id"]: row["mean"] for row in summary["proposals"]}
    for number, id in ((6, "NiO"), (7, "MnO"), (8, "BeO"), (9, "CoO")):
        if id in predicted:
            assert predicted[id] == pytest.approx((-11.0 - 1.1 * number) / 2)
    assert predicted
    more = call("label", "runs/candidates", "--from", "folder:own", "--level", "pbe", folder=tmp_path)
    assert "nothing new" in more.stdout
    assert "unknown" not in more.stderr
    write_run(tmp_path / "own" / "pbe" / "Mg-lower", rocksalt("Mg", 4.1), -12.0)
    again = call("discover", "candidates.csv", "--config", "levels.toml", *MODEL, folder=tmp_path).stderr
    advice = "sisso-sal label runs/candidates --from folder:own --level pbe --replace changes them"
    assert f"(MgO -5 -> -6); the recorded ones stay; {advice}" in again


def test_the_last_level_has_the_label_of_its_own_section(made, tmp_path):
    """Section [label] is that of levels which have none; the last one says by itself what its value is."""
    shutil.copy(made / "candidates.csv", tmp_path)
    for number, metal in enumerate((*METALS, "Be", "Co")):
        write_run(tmp_path / "own" / "pbe" / metal, rocksalt(metal), -10.0 - number)
        if number < 6:
            write_run(tmp_path / "own" / "hse" / metal, rocksalt(metal), -11.0 - 1.1 * number, xc="hse06")
    own = LEVELS.split("[[level]]", 1)
    last = 'label = { quantity = "energy_per_atom", calculated_with = { xc = "hse06 0.11 1/bohr" } }\n'
    (tmp_path / "levels.toml").write_text(f"[[level]]{own[1]}{last}")
    words = ("discover", "candidates.csv", "--config", "levels.toml", *MODEL, "--json")
    summary = strict(call(*words, folder=tmp_path).stdout)
    assert (summary["target"]["name"], summary["n_labelled"]) == ("E_hse", 6)
    write_run(tmp_path / "own" / "hse" / "Ni", rocksalt("Ni"), -20.0, xc="hse06")
    done = call("label", "runs/candidates", "--from", "folder:own", "--json", folder=tmp_path)
    assert strict(done.stdout)["n_events"] == 1
    assert label_events(tmp_path)["NiO"]["value"] == pytest.approx(-10.0)


def test_a_target_that_the_table_lacks_is_made_and_one_that_is_empty_is_filled(work):
    done = discover(work, "--target", "E_f (eV/atom)", "--out", "named", "--json")
    assert strict(done.stdout)["target"] == {"name": "E_f", "unit": "eV/atom"}
    frame = pd.read_csv(work / "candidates.csv")
    frame["E_f (eV/atom)"] = float("nan")
    frame.to_csv(work / "candidates.csv", index=False)
    again = strict(discover(work, "--target", "E_f", "--out", "empty", "--json").stdout)
    assert (again["target"]["name"], again["n_labelled"]) == ("E_f", 5)
    frame["other (eV)"] = [1.0, None] * 5
    frame.drop(columns="E_f (eV/atom)").to_csv(work / "candidates.csv", index=False)
    told = refused(
        "discover", "candidates.csv", "--oracle", "folder:own", "--target", "E_f (eV/atom)", "--out", "new", *MODEL, folder=work
    )  # fmt: skip
    assert "target column 'E_f (eV/atom)' is missing, and 'other (eV)' has gaps; --drop leaves it out" in told


def test_doctor_lists_what_a_folder_gives_and_what_is_missing(work):
    words = ("doctor", "--oracle", "folder:own", "--table", "candidates.csv", "--config", "formation.toml")
    document = strict(call(*words, "--json", folder=work).stdout)
    assert (document["n_calculations"], document["n_usable"]) == (18, 17)
    assert [(one["n_calculations"], one["n_labels"], one["is_used"]) for one in document["groups"]] == [
        (16, 5, True),
        (1, 0, False),
    ]
    (left_out,) = document["left_out"]
    assert (left_out["calculation"], left_out["formula"]) == ("ZnO-failed/aims.out", "ZnO")
    assert document["other_settings"] == [
        {"calculation": "Ni-hybrid/aims.out", "setting": "xc", "value": "hse06 0.11 1/bohr", "usual": "pbe"}
    ]
    lacks = {one["id"]: one["lacks"] for one in document["lacking"]}
    assert lacks["NiO"] == ["Ni (computed with other settings only: xc hse06 0.11 1/bohr)"]
    assert lacks["MnO"] == ["Mn (not computed)"]
    assert lacks["BeO"] == ["BeO (not computed)"]
    assert lacks["ZnO"][0].startswith("ZnO in ZnO-failed/aims.out (scf_not_converged")
    text = call(*words, folder=work).stdout
    for part in (
        "Left out (1):",
        "Other settings than those of the labels (1):",
        "Labels (5):",
        "Without a label (5):",
    ):
        assert part in text
    assert "own: 18 calculations, 17 can be used" in call("doctor", "--oracle", "folder:own", folder=work).stdout


def test_the_oracle_of_a_settings_file_is_checked_by_doctor(work):
    (work / "campaign.toml").write_text(f'{FORMATION}\n[run]\noracle = "folder:own"\n')
    done = call("doctor", "--config", "campaign.toml", "--json", folder=work)
    (check,) = (one for one in strict(done.stdout)["checks"] if one["name"] == "oracle")
    assert check["status"] == "ok"
    assert check["detail"].startswith(
        "own: 18 calculations, 17 can be used; left out 1 scf_not_converged; labels are of 16"
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("discover", "candidates.csv", "--oracle", "folder:none"), "none: needs a folder or a file of calculations"),
        (("discover", "candidates.csv", "--oracle", "folder"), "oracle: needs none, aims, structure"),
        (("doctor", "--table", "candidates.csv"), "--table and --target: need --oracle folder:PATH, found none"),
        (("doctor", "--oracle", "aims"), "--oracle: needs folder:PATH, found aims"),
        (("label", "own", "--from", "folder:own", "--failed", "x"), "--from cannot be combined with"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(made, words, told):
    assert told in refused(*words, folder=made).replace("\n", " ")


def test_a_folder_without_a_label_for_the_candidates_says_what_is_missing(work):
    shutil.rmtree(work / "own" / "water")
    told = discover(work, code=2).stderr
    assert "needs at least 3 labelled rows for dim 1, found 0" in told
    assert "labels wait for H2O and H2 (not computed) (8)" in told


def test_a_campaign_in_python_takes_the_labels_of_a_folder(work, monkeypatch):
    monkeypatch.chdir(work)
    lines = []
    options = {"rung": 0, "dim": 1, "members": 4, "correction": "none", "batch": 2, "threads": 1}
    campaign = Campaign(
        "candidates.csv",
        oracle="folder:own",
        config="formation.toml",
        out="run",
        tell=lines.append,
        with_report=False,
        **options,
    )
    assert campaign.step()["n_labelled"] == 5
    assert any("16 calculations with equal settings" in line for line in lines)
