"""The benchmark of families left out: which families there are, and what its lines count, by hand."""

import numpy as np
import pytest
from programs import ROOT, program

from sisso_sal.data.table import read_table
from sisso_sal.spaces.table import TableSpace


@pytest.fixture(scope="module")
def families():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield program("benchmarks/families.py")


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Ten oxides of each of four metals, in two places."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("table") / "table.csv"
    lines = ["formula,a,b,y"]
    for number in range(40):
        metal, place = ("Ti", "Zr", "Hf", "Sn")[number // 10], number % 2
        features = 9 * place + rng.normal(0, 0.1, 2)
        lines.append(
            f"{metal}{number + 1}O{2 * number + 3},{features[0]},{features[1]},{features.sum() + rng.normal(0, 0.1)}"
        )
    path.write_text("\n".join(lines))
    return TableSpace(read_table(path, target="y"))


def test_families_are_all_rows_with_an_element_or_of_a_cluster(families, space):
    metals = sorted(map(tuple, (np.flatnonzero(one) for one in families.elements(space))))
    assert metals == [tuple(range(10 * k, 10 * k + 10)) for k in range(4)]
    made = families.clusters(space)
    assert made
    for inside in made:
        assert families.FEWEST <= inside.sum() <= 20
        assert len(np.unique(np.flatnonzero(inside) % 2)) == 1


def test_no_label_is_of_the_family(families, space):
    inside = np.arange(40) < 10
    result = families.left_out(space, inside, 24, 0)
    assert [len(result[part]["label"]) for part in ("family", "rest")] == [10, 6]
    assert np.array_equal(result["family"]["label"], space.labels[:10])
    assert result["shift"]["factor"] >= 1


def part(label, low, high):
    return {"label": label, "low": low, "high": high, "mean": [0.0] * len(label)}


def test_a_line_counts_materials_and_families(families):
    first = {
        "family": part([0.0, 3.0], [-1.0, -1.0], [1.0, 1.0]), "rest": part([0.0], [-2.0], [2.0]), "spread": 2.0,
        "shift": {"factor": 1.2, "rmse": 3.0}, "out of bag": 1.0,
    }  # fmt: skip
    second = {"family": part([1.0] * 4, [0.0] * 4, [1.0] * 4), "spread": 1.0, "shift": None, "out of bag": 7.0}
    line = families.row("oxides", "elements", [first, second])
    # Intervals of 2 and one missed by 2, at 40 times the miss, in units of a spread of 2; four of width 1 in units of 1.
    score = (1.0 + (2.0 + 80.0) / 2 + 4 * 1.0) / 6
    assert line[:6] == ["oxides", "elements", "2", "83.3%", "75.0%", f"{score:.3f}"]
    assert line[6:9] == ["100.0%", "100.0%", "2.000"]
    assert line[9:] == ["1.20", f"{np.sqrt((9 / 2 + 1) / 2):.3g}", "3", "5"]
