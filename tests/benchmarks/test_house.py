"""The limits of size and order hold over the package, and the program that measures them sees what it is to see."""

import doctest
from collections import Counter

import pytest
from programs import ROOT, program

house = program("benchmarks/house.py")

ESTIMATORS = {
    "sisso_sal.models.class_ensemble.SISSOClassifierEnsemble.__init__()",
    "sisso_sal.models.classifier.SISSOClassifier.__init__()",
    "sisso_sal.models.ensemble.SISSOEnsemble.__init__()",
    "sisso_sal.models.multi_task.MultiTaskSISSO.__init__()",
    "sisso_sal.models.multi_task_ensemble.MultiTaskSISSOEnsemble.__init__()",
    "sisso_sal.models.regressor.SISSORegressor.__init__()",
}
"""Constructors of estimators: scikit-learn's convention is a parameter for each setting."""


def test_no_module_function_or_argument_list_is_too_long_and_no_files_import_each_other():
    over = house.violations(house.read(ROOT))
    assert {place: words for place, words in over.items() if place not in ESTIMATORS} == {}


def test_examples_in_docstrings():
    tests = doctest.testmod(house)
    assert tests.attempted >= 1
    assert tests.failed == 0


SOURCE = {
    "__init__.py": "",
    "errors.py": "class Broken(Exception): ...\n",
    "a/__init__.py": "from . import one\n",
    "a/one.py": "def late():\n    from sisso_sal.a import two\n    return two\n",
    "a/two.py": "from ..b import three\n",
    "b/__init__.py": "",
    "b/three.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sisso_sal.a.one import late\nclass Broken: ...\n",
    "b/four.py": "import sisso_sal.errors\nfrom sisso_sal.b.three import Broken\n",
    "cli/__init__.py": "def command(a, b, c, d, e, f, g, h, i): ...\n",
}  # fmt: skip


def written(folder, **more):
    for name, text in (SOURCE | more).items():
        path = folder / "sisso_sal" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return house.read(folder)


def test_files_of_tests_have_names_of_their_own():
    """Two of one name cannot be imported together."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []


def test_imports_count_wherever_they_stand(tmp_path):
    imports = written(tmp_path).imports
    assert imports["sisso_sal.a"] == {"sisso_sal.a.one"}
    assert imports["sisso_sal.a.one"] == {"sisso_sal.a.two"}
    assert imports["sisso_sal.a.two"] == {"sisso_sal.b.three"}
    assert imports["sisso_sal.b.three"] == {"sisso_sal.a.one"}
    assert imports["sisso_sal.b.four"] == {"sisso_sal.errors", "sisso_sal.b.three"}


def test_a_circle_through_an_import_in_a_function_is_seen(tmp_path):
    circle = "sisso_sal.a.one sisso_sal.a.two sisso_sal.b.three"
    assert house.violations(written(tmp_path)) == {circle: "a circle of imports"}


LONG = "class A:\n    def f(self):\n" + "        x = 1\n" * 60
WIDE = "def f(a, b, *, c, d, e, f, g, **more): ...\n@f\ndef g(a, b, c, d, e, f, g, h, *i): ...\n"


@pytest.mark.parametrize(
    ("source", "place", "words"),
    [
        ("x = 1\n" * 451, "sisso_sal.new", "451 lines, at most 450"),
        (LONG, "sisso_sal.new.A.f", "61 lines, at most 60"),
        (WIDE, "sisso_sal.new.g()", "9 arguments, at most 8"),
    ],
)
def test_what_is_over_a_limit_is_seen(tmp_path, source, place, words):
    over = house.violations(written(tmp_path, **{"new.py": source}))
    assert over.pop("sisso_sal.a.one sisso_sal.a.two sisso_sal.b.three")
    assert over == {place: words}


def test_a_docstring_and_decorators_are_no_lines_of_a_function(tmp_path):
    source = 'import functools\n@functools.cache\ndef f():\n    """A.\n\n    B.\n    """\n    return 1\n'
    (function,) = (f for f in written(tmp_path, **{"new.py": source}).functions if f.name == "f")
    assert function.lines == 2


def test_self_is_no_argument_and_inner_names_are_not_bound_outside(tmp_path):
    source = "class A:\n    def f(self, a):\n        def g():\n            found = 1\n        [x for x in a]\n        return g\n"
    by_name = {f.name: f for f in written(tmp_path, **{"new.py": source}).functions}
    assert by_name["A.f"].n_arguments == 1
    assert by_name["A.f"].bound == {"self", "a", "x"}
    assert by_name["A.f.g"].bound == {"found"}


def test_the_table(tmp_path):
    table = dict(house.rows(written(tmp_path, **{"b/pareto.py": "def f():\n    found = 1\n    return found\n"})))
    assert table["modules"] == "10"
    assert table["longest function"].startswith("3, ")
    assert table["circles of files"] == "1; a.one a.two b.three"
    assert table["top-level modules"] == "1, errors"
    assert table["functions that bind `found`"] == "1"
    assert table["class names defined more than once"] == "1, Broken"
    assert table["files called pareto.py"] == "1"


def test_a_folder_without_the_package_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="needs a checkout with the folder sisso_sal"):
        house.read(tmp_path)
