"""`pareto` as a shell calls it, and what it prints where there is little room."""

import numpy as np
import pandas as pd
import pytest

from sisso_sal.report.text.two_targets import pareto_text

from test_commands import FEW_MEMBERS, call, refused, strict  # isort: skip

SMALL = ("--rung", "1", "--dim", "1", "--n-sis", "4", "--members", "6", "--operators", "add,mult,div",
         "--correction", "none", "--dropout", "0", "--threads", "1")  # fmt: skip
TWO = ("--target", "cost", "--target", "gain")
N, N_KNOWN = 40, 24


def materials():
    """cost = a b is to be small, gain = a / b + 0.3 to be large; 23 rows have both, one has its cost alone, 16 have neither."""
    rng = np.random.default_rng(2)
    a, b = rng.uniform(1, 3, (2, N)).round(3)
    b[N_KNOWN : N_KNOWN + 3] = 0.85
    frame = pd.DataFrame({"name": [f"M{i:02d}" for i in range(N)], "a (eV)": a, "b": b})
    frame["cost (eV)"] = (a * b).round(4)
    frame["gain (meV)"] = (a / b + 0.3).round(4)
    frame.loc[N_KNOWN:, ["cost (eV)", "gain (meV)"]] = np.nan
    frame.loc[5, "gain (meV)"] = np.nan
    return frame


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pareto")
    materials().to_csv(folder / "table.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def document(work):
    options = (
        *TWO,
        "--goal",
        "min",
        "--goal",
        "max",
        "--batch",
        "3",
        *SMALL,
        "--json",
        "--out",
        "next.csv",
        "--plot",
        "f.png",
    )
    done = call("pareto", "table.csv", *options, folder=work)
    assert done.stderr == FEW_MEMBERS.format(6)
    return strict(done.stdout)


def test_one_json_document_tells_the_front_and_the_proposals(document):
    frame = materials().set_index("name")
    counts = {"n_labelled": 23, "n_candidates": 17, "n_half_labelled": 1, "n_without_prediction": 0}
    assert {key: document[key] for key in counts} == counts
    told = [(t["name"], t["unit"], t["goal"], t["n_labelled"]) for t in document["targets"]]
    assert told == [("cost", "eV", "min", 24), ("gain", "meV", "max", 23)]
    for one in document["front"]:
        assert one["values"] == frame.loc[one["id"], ["cost (eV)", "gain (meV)"]].tolist()
    assert len(document["proposals"]) == 3
    for one in document["proposals"]:
        assert one.keys() >= {
            "id",
            "mean",
            "std",
            "known",
            "ehvi",
            "ehvi_alone",
            "not_dominated",
            "outside",
            "distance",
        }
        assert frame.loc[one["id"]].isna().any()
        assert 0 <= one["not_dominated"] <= 1
    gains = [one["ehvi"] for one in document["proposals"]]
    assert gains == sorted(gains, reverse=True)
    assert document["settings"]["ensemble"]["members"] == 6
    assert document["settings"]["seed"] == 0


def test_the_files_hold_the_proposals_and_a_figure(work, document):
    found = pd.read_csv(work / "next.csv")
    columns = [
        "id",
        "cost mean (eV)",
        "cost std (eV)",
        "gain mean (meV)",
        "gain std (meV)",
        "ehvi",
        "ehvi_alone",
        "not_dominated",
    ]
    assert list(found) == columns
    assert found["id"].tolist() == [one["id"] for one in document["proposals"]]
    # Older versions of pandas read a number up to its last bit.
    assert found["gain mean (meV)"].tolist() == pytest.approx(
        [one["mean"][1] for one in document["proposals"]], rel=1e-14
    )
    assert (work / "f.png").read_bytes().startswith(b"\x89PNG")
    for option, name in (("--out", "next.csv"), ("--plot", "f.png")):
        line = refused("pareto", "table.csv", *TWO, *SMALL, option, name, folder=work)
        assert line == f"error: {name}: exists already; give another --out, or --force to replace it"


def test_it_prints_proposals_then_the_front_then_what_to_do(work, document):
    done = call("pareto", "table.csv", *TWO, "--goal", "min", "--goal", "max", *SMALL, "--batch", "3", folder=work)
    lines = done.stdout.splitlines()
    assert lines[0] == "23 materials with both targets known, 17 candidates, 1 of them half known"
    assert "cost (eV), min: 24 known" in lines
    assert "  cost (eV) = " in done.stdout
    start = lines.index("To compute next, mean ± sigma:")
    assert lines[start + 1].split("  ")[-1].strip() in {"not dominated", "flags"}
    ids = [line.split()[1] for line in lines[start + 2 : start + 5]]
    assert ids == [one["id"] for one in document["proposals"]]
    front = lines.index(f"Known front, {len(document['front'])} materials:")
    assert front > start
    assert [line.split()[0] for line in lines[front + 2 : front + 2 + len(document["front"])]] == [
        one["id"] for one in document["front"]
    ]
    assert "a tenth of its range" in done.stdout
    assert lines[-1] == f"Next: write the results for {ids[0]} and the others into table.csv, then run the same command"


def test_the_same_seed_gives_the_same_and_another_order_of_targets_the_same_picks(work, document):
    options = ("--batch", "3", *SMALL, "--json")
    again = call("pareto", "table.csv", *TWO, "--goal", "min", "--goal", "max", *options, folder=work)
    assert strict(again.stdout) == document
    turned = call(
        *("pareto", "table.csv", "--target", "gain (meV)", "--goal", "max", "--target", "cost", "--goal", "min"), *options,
        folder=work,
    )  # fmt: skip
    assert [one["id"] for one in strict(turned.stdout)["proposals"]] == [one["id"] for one in document["proposals"]]
    other = call("pareto", "table.csv", *TWO, "--goal", "min", "--goal", "max", *options, "--seed", "7", folder=work)
    assert strict(other.stdout)["settings"]["seed"] == 7


def test_a_target_that_is_known_everywhere_is_not_learned(work):
    frame = materials()
    frame["gain (meV)"] = 5 - np.arange(N) * 0.1  # what has no cost yet is cheap
    frame.to_csv(work / "price.csv", index=False)
    done = call("pareto", "price.csv", *TWO, *SMALL, "--batch", "2", folder=work)
    assert "gain (meV), min: known for every row, nothing to learn" in done.stdout
    proposals = done.stdout.partition("To compute next")[2].partition("EHVI:")[0].splitlines()[2:]
    assert ["± " in line and " known " in line for line in proposals] == [True, True]
    narrow = ("--reference", "0.1,0.1")
    none = call("pareto", "price.csv", *TWO, *SMALL, *narrow, folder=work).stdout
    assert "Not proposed: 16 candidates that cannot improve the front (EHVI 0)" in none
    assert "None of them is better than the reference in both targets: the area is 0." in none
    assert "\nNext: run the same command with another --reference, or add other candidates" in none


def test_features_are_made_from_formulas_where_there_are_none(tmp_path):
    rows = [
        "MgO,7.8,1",
        "CaO,7.1,2",
        "Al2O3,8.8,3",
        "TiO2,3.2,9",
        "SrTiO3,3.3,7",
        "ZnO,3.4,4",
        "BaO,,6",
        "ZrO2,5,",
        "NaCl,8,2",
    ]
    (tmp_path / "oxides.csv").write_text("formula,gap (eV),cost\n" + "\n".join(rows) + "\n")
    options = ("--target", "gap", "--goal", "max", "--target", "cost", "--goal", "min")
    done = call("pareto", "oxides.csv", *options, "--rung", "0", "--members", "4", "--json", folder=tmp_path)
    document = strict(done.stdout)
    assert "note: features made from formulas: r_cov" in done.stderr
    assert "1 rows left out:" in done.stderr
    assert (document["n_labelled"], document["n_candidates"], document["n_half_labelled"]) == (6, 2, 2)
    assert {"Al2O3", "MgO"} == {one["id"] for one in document["front"]}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "error: target: needs two columns, --target A --target B, found none"),
        (("--target", "cost"), "error: target: needs two columns, --target A --target B, found 1"),
        ((*TWO, "--target", "a"), "error: target: needs two columns, --target A --target B, found 3"),
        (
            ("--target", "cost", "--target", "gian"),
            "error: table.csv: target column 'gian' is missing; did you mean 'gain'?",
        ),
        (
            ("--target", "cost", "--target", "cost (eV)"),
            "error: table.csv: needs targets that differ, found 'cost (eV)' twice",
        ),
        (
            ("--target", "name", "--target", "cost"),
            "error: table.csv: row 1 (line 2), column 'name': the target needs a number, found 'M00'",
        ),
        (
            (*TWO, "--id", "gain"),
            "error: table.csv: row 6 (line 7), column 'gain (meV)': needs an id, found an empty cell",
        ),
        (
            (*TWO, "--goal", "min"),
            "error: goal: needs one for each of the two targets, or none for min and min, found 1",
        ),
        (
            (*TWO, "--goal", "min", "--goal", "<=1"),
            "error: Invalid value for '--goal': '<=1' is not one of 'min', 'max'.",
        ),
        (
            (*TWO, "--reference", "1"),
            "error: Invalid value for '--reference': needs two numbers with a comma between them, found '1'",
        ),
        (
            (*TWO, "--reference", "1,inf"),
            "error: Invalid value for '--reference': needs two numbers with a comma between them, found '1,inf'",
        ),
        ((*TWO, "--plot", "front.doc"), "error: front.doc: needs a name that ends in .png, .pdf or .svg"),
        ((*TWO, "--out", "no/where.csv"), "error: no/where.csv: needs a folder that exists, found no 'no'"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(work, arguments, told):
    assert refused("pareto", "table.csv", *arguments, folder=work) == told


def test_without_a_row_that_has_both_a_reference_is_needed(work):
    frame = materials()
    frame.loc[::2, "cost (eV)"] = np.nan
    frame.loc[1::2, "gain (meV)"] = np.nan
    frame.to_csv(work / "apart.csv", index=False)
    line = refused("pareto", "apart.csv", *TWO, *SMALL, folder=work)
    needed = "needs rows with both targets known that differ in each, found 0; give --reference, the worst values of interest"
    assert line == f"error: reference: {needed}"
    done = call("pareto", "apart.csv", *TWO, "--reference", "9,3", *SMALL, "--plot", "empty.svg", folder=work)
    assert "Known front: empty, both targets are known for no row" in done.stdout
    assert "To compute next" in done.stdout
    assert "</svg>" in (work / "empty.svg").read_text()


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_the_tables_fit_the_terminal(document, columns):
    text = pareto_text(document, columns)
    tables = text.split("To compute next, mean ± sigma:\n")[1].splitlines()
    rows = [line for line in tables if line.split()[:1] and line.split()[0] in {"1", "2", "3"}]
    assert max(map(len, rows)) <= columns
    assert columns < 60 or all("±" in row and "…" not in row for row in rows)
    assert ("EHVI: expected increase" in text) == ("EHVI" in tables[0])


def test_excluded_elements_are_counted_and_not_proposed(work):
    frame = materials().assign(name=[f"{metal}{n}O{n + 1}" for n in range(1, 11) for metal in ("Mg", "Hg", "U", "Sr")])
    frame.to_csv(work / "oxides.csv", index=False)
    free = strict(call("pareto", "oxides.csv", *TWO, *SMALL, "--json", folder=work).stdout)
    assert any(p["contains"] == "Hg (toxic, scarce)" for p in free["proposals"])
    options = (*TWO, *SMALL, "--exclude-elements", "toxic")
    document = strict(call("pareto", "oxides.csv", *options, "--json", folder=work).stdout)
    assert document["excluded"] == {"n": 9, "elements": {"Hg": 5, "U": 4}}
    assert {p["id"][:2] for p in document["proposals"]} <= {"Mg", "Sr"}
    assert (
        "9 candidates left out for their elements: Hg (5), U (4)"
        in call("pareto", "oxides.csv", *options, folder=work).stdout
    )
