"""The oracle that computes: what it refuses before anything runs, whose formula and structure count, who works, what it answers."""

import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("taskblaster")
pytest.importorskip("pyfhiaims")

import aims_stand_in
from species import write_species

from sisso_sal.data.table import read_table
from sisso_sal.errors import InputError, OracleError, SettingsError
from sisso_sal.oracle.registry import make_oracle
from sisso_sal.oracle.workflow import first_principles as module
from sisso_sal.oxides.phases import element_structure
from sisso_sal.protocols import Oracle, Receipt, Request
from sisso_sal.settings.campaign import CampaignSettings, load_settings
from sisso_sal.settings.written import differences

TABLE = "name,formula,EN,gap (eV)\nold,CaO,1.0,7.0\nmagnesia,MgO,1.3,\nzincite,ZnO,1.6,\n"
STAND_IN = f"{sys.executable} {Path(aims_stand_in.__file__)}"


@pytest.fixture
def make(tmp_path, monkeypatch):
    """An oracle in a folder of its own; settings by section."""
    monkeypatch.setenv("PYTHONPATH", str(Path(aims_stand_in.__file__).parents[1]))
    monkeypatch.delenv("AIMS_COMMAND", raising=False)
    monkeypatch.delenv("AIMS_SPECIES_DIR", raising=False)
    write_species(tmp_path / "species", ["Mg", "O", "H", "Zn"])
    (tmp_path / "oxides.csv").write_text(TABLE)

    def oracle(*, run=None, label=None, calculation=None, table="oxides.csv", target="gap (eV)"):
        settings = {
            "run": {"oracle": "aims", **(run or {})},
            "label": {"quantity": "band_gap", "max_prototypes": 1, **(label or {})},
            "calculation": {"command": STAND_IN, "species_dir": str(tmp_path / "species"), **(calculation or {})},
        }
        found = read_table(tmp_path / table, target=target)
        return make_oracle(CampaignSettings.model_validate(settings), tmp_path / "run", found)

    oracle.folder = tmp_path
    return oracle


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"calculation": {"command": "no-such-aims.x -n 4"}},
            "FHI-aims: there is no program 'no-such-aims.x'; set command in [calculation], or AIMS_COMMAND",
        ),
        ({"calculation": {"species_dir": None}}, "FHI-aims: needs the folder of species defaults, set species_dir"),
        ({"calculation": {"species_dir": "/nowhere"}}, "FHI-aims species: /nowhere is not a folder"),
        ({"calculation": {"steps": {"relax": "relax-tight"}}}, "species has neither a set 'tight' nor species files"),
        ({"calculation": {"steps": {"relax": "fast"}}}, "FHI-aims preset 'fast': needs one of relax, static"),
        (
            {"calculation": {"changes": {"all": {"k_grid_densty": 5}}}},
            "FHI-aims preset 'relax': unknown setting 'k_grid_densty'; did you mean 'k_grid_density'?",
        ),
        (
            {"calculation": {"calculator": "no_such_package:DFT"}, "run": {"oracle": "structure"}},
            "calculator 'no_such_package:DFT': cannot be imported (No module named 'no_such_package')",
        ),
        ({"label": {"quantity": "gap"}}, "label 'gap': needs dG_pbx, formation_energy"),
        (
            {"label": {"quantity": "dG_pbx"}},
            "label.quantity: dG_pbx is in eV/atom, the target 'gap (eV)' is not",
        ),
        ({"label": {"structures": "/nowhere"}}, "/nowhere: there is no such folder or database of structures"),
        ({"label": {"ions": "/nowhere.csv"}}, "/nowhere.csv: cannot be read"),
        ({"label": {"formula": "name"}}, "formula 'magnesia'"),
        ({"label": {"formula": "composition"}}, "label.formula: needs a text column of "),
    ],
)
def test_what_is_missing_is_told_before_anything_runs(make, given, told):
    with pytest.raises(InputError) as caught:
        make(**given)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (make.folder / "run").exists()


def test_workers_elsewhere_need_no_program_here(make):
    oracle = make(calculation={"command": "no-such-aims.x"}, run={"calculations": 0})
    oracle.submit(Request("a", "magnesia", {}))
    assert oracle.collect([Receipt("a", "")]) == []
    assert not list(make.folder.glob("run/oracle/workers/*"))


def test_candidates_that_can_have_no_label_are_known_by_their_elements(make):
    (make.folder / "more.csv").write_text(
        f"{TABLE}anhydride,N2O5,1.5,\nplatina,PtO2,2.0,\n".replace("(eV)", "(eV/atom)")
    )
    write_species(make.folder / "species", ["N", "Pt"])
    settings = {
        "run": {"oracle": "aims"},
        "calculation": {"command": STAND_IN, "species_dir": str(make.folder / "species")},
    }
    table = read_table(make.folder / "more.csv", target="gap (eV/atom)")
    oracle = make_oracle(CampaignSettings.model_validate(settings), make.folder / "run", table)
    assert oracle.barred == {
        "anhydride": "no structure to start from is known of N",
        "platina": "needs dissolved Pt(IV) (known up to Pt(II))",
    }
    assert make(table="more.csv", label={"quantity": "formation_energy"}, target="gap (eV/atom)").barred == {
        "anhydride": "no structure to start from is known of N"
    }


def test_a_formula_of_the_table_and_a_structure_of_ones_own(make):
    oracle = make(label={"structure_column": "structure"}, table=with_structures(make.folder))
    assert isinstance(oracle, Oracle)
    receipts = [oracle.submit(Request(f"a-{id}", id, {})) for id in ("magnesia", "zincite")]
    assert [receipt.job for receipt in receipts] == ["oracle/tree/MgO", "oracle/tree/OZn"]
    assert [oracle.query(Request(f"a-{id}", id, {})) for id in ("magnesia", "zincite")] == receipts
    assert oracle.query(Request("b", "magnesia", {})) is None
    places = {task.name.rpartition("/")[0] for task in oracle.workflow.tasks()}
    assert places == {"MgO/rocksalt", "MgO/lowest", "OZn/given-1", "OZn/lowest"}
    (lost,) = oracle.collect([Receipt("never", "oracle/tree/MgO")])
    assert (lost.kind, lost.reason) == ("lost", "oracle/intents/never.json is gone")


def with_structures(folder):
    """The table with a structure for zincite alone."""
    rows = list(csv.reader(TABLE.splitlines()))
    zinc = element_structure("Zn")
    oxide = zinc.copy()
    oxide.replace(1, "O")
    rows[0].append("structure")
    for row in rows[1:]:
        row.append(json.dumps(oxide.as_dict(), default=float) if row[1] == "ZnO" else "")
    with (folder / "structures.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return "structures.csv"


def test_a_label_comes_from_workers_that_it_starts_and_settings_are_kept(make):
    oracle = make(run={"calculations": 2}, calculation={"changes": {"bands": {"band_density": 3.0}}})
    receipt = oracle.submit(Request("a", "magnesia", {}))
    until = time.monotonic() + 120
    answers = []
    while not answers and time.monotonic() < until:
        answers = oracle.collect([receipt])
        time.sleep(0.2)
    for worker in oracle._started:
        worker.process.wait(30)
    (answer,) = answers
    assert answer.value == pytest.approx(4.966, abs=1e-3)
    assert answer.core_hours > 0
    assert oracle.collect([receipt]) == [answer]
    other = make(calculation={"changes": {"all": {"k_grid_density": 3.0}}})
    (line,) = other.differences({"magnesia": 4.966})
    assert line.startswith("calculation: changes: {'bands': {'band_density': 3.0}} -> {'all'")
    assert other.differences({}) == []
    with pytest.raises(OracleError, match="holds calculations with other settings"):
        other.submit(Request("b", "zincite", {}))


def test_workers_that_end_at_once_are_told(make, monkeypatch):
    oracle = make()
    receipt = oracle.submit(Request("a", "magnesia", {}))
    (make.folder / "run" / "oracle" / "workers.log").write_text("error: no disk\n")
    broken = [sys.executable, "-c", "raise SystemExit(1)"]
    monkeypatch.setattr(oracle.workflow, "start_workers", lambda n: [subprocess.Popen(broken) for _ in range(n)])
    for _ in range(3):
        assert oracle.collect([receipt]) == []
        for worker in oracle._started:
            worker.process.wait(30)
    with pytest.raises(OracleError, match=r"^workers end at once: error: no disk$"):
        oracle.collect([receipt])


def test_another_worker_is_started_in_the_place_of_one_that_was_given_up_although_it_is_there(make, monkeypatch):
    """It is stopped, for instance; its step waits for a worker."""
    oracle, started, known = make(), [], set()
    receipt = oracle.submit(Request("a", "magnesia", {}))

    def start(n):
        started.extend(subprocess.Popen(["sleep", "3600"]) for _ in range(n))
        return started[-n:]

    monkeypatch.setattr(oracle.workflow, "start_workers", start)
    monkeypatch.setattr(module, "living", lambda root: set(known))
    try:
        for known_now, n_started in [((), 1), ((), 1), ((0,), 1), ((), 2), ((1,), 2)]:
            known = {started[k].pid for k in known_now}
            assert oracle.collect([receipt]) == []
            assert len(started) == n_started
        monkeypatch.setattr(module, "_STARTING", 0.0)
        known = set()
        oracle.collect([receipt])
        assert len(started) == 3
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_settings_of_a_file_say_where_they_are_wrong(tmp_path):
    file = tmp_path / "campaign.toml"
    for text, told in [
        ('[calculation]\ncomand = "aims.x"', "unknown setting 'calculation.comand'; did you mean 'command'?"),
        ("[label]\npH = 'acid'", "label.pH: needs a valid number"),
        ("[label]\nconcentration = 0", "label.concentration: needs greater than 0, found 0"),
        ('[calculation.steps]\nrelaxation = "relax"', "calculation.steps.relaxation"),
    ]:
        file.write_text(text)
        with pytest.raises(SettingsError) as caught:
            load_settings(file, {})
        assert told in str(caught.value)


def test_a_machine_may_change_but_not_what_decides_the_numbers():
    old = load_settings(None, {"budget": 3})
    moved = old.model_copy(update={"calculation": old.calculation.model_copy(update={"command": "srun aims.x"})})
    assert differences(old.on_machine_of(moved), moved) == []
    limited = load_settings(None, {"budget": 3, "max_features": 10**10})
    assert differences(limited.on_machine_of(old), old) == []  # it refuses, but changes no number
    other = CampaignSettings.model_validate({"label": {"pH": 7, "competitors": {"MgO": ["ZnO"]}}})
    assert differences(old.on_machine_of(other), other) == [
        "label.pH: 0.0 -> 7.0",
        "label.competitors.MgO: None -> ('ZnO',)",
    ]
