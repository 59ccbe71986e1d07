"""Potentials by name: what is missing or unknown is told in one line, and nothing is downloaded."""

import importlib.metadata
import pickle
import re
from pathlib import Path

import pytest
from springs import Springs

import sisso_sal
from sisso_sal.errors import InputError, SettingsError
from sisso_sal.fidelity import potentials
from sisso_sal.fidelity.potentials import KINDS, Potential, calculator_of, open_potential
from sisso_sal.fidelity.schemes import SCHEMES, scheme_of


def test_a_class_of_ones_own():
    potential = open_potential("springs:Springs")
    assert (potential.version, potential.scheme, potential.weights, potential.tag) == ("1", "mp2020", "", "springs")
    assert isinstance(calculator_of(pickle.loads(pickle.dumps(potential))), Springs)
    assert calculator_of(potential) is calculator_of(open_potential("springs:Springs"))


def test_every_declared_scheme_is_known():
    declared = {scheme for kind in KINDS.values() for scheme in kind.models.values()}
    assert declared <= SCHEMES.keys()
    assert all(kind.models.keys() == kind.weights.keys() for kind in KINDS.values())


def test_what_is_not_there_is_told(monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    told = r"^potential 'chgnet': not installed; install the CPU build of torch, then pip install 'sisso-sal\[potential-chgnet\]'$"
    with pytest.raises(InputError, match=told):
        open_potential("chgnet")
    with pytest.raises(SettingsError, match=r"^model: needs one of 0.3.0, 0.2.0, r2scan for chgnet, found '1.0'$"):
        open_potential("chgnet", "1.0")
    with pytest.raises(
        SettingsError, match=r"^potential: needs one of chgnet, sevenn or 'package.module:Class', found 'mace'$"
    ):
        open_potential("mace")
    with pytest.raises(InputError, match=r"^potential 'no.such:Class': cannot be imported \(No module named 'no'\)$"):
        open_potential("no.such:Class")
    with pytest.raises(InputError, match=r"^potential 'springs:Choosy': cannot be set up: .*missing 1 required"):
        calculator_of(open_potential("springs:Choosy"))
    assert calculator_of(open_potential("springs:Choosy", "x")).model == "x"


def test_an_unknown_scheme_is_refused():
    with pytest.raises(
        SettingsError, match=r"^potential 'springs:Nameless': its reference scheme is not known; give --scheme mp2020\|"
    ):
        scheme_of(open_potential("springs:Nameless"))
    with pytest.raises(SettingsError, match=r"^scheme: needs one of mp2020, .*, found 'pbe'$"):
        scheme_of(Potential(name="chgnet", scheme="mp2020"), "pbe")
    assert scheme_of(open_potential("springs:Nameless"), "mp-uncorrected").shifts["Ni"] == -2.541


def test_potentials_are_made_in_one_place():
    imports = re.compile(
        r"^\s*(import|from) (chgnet|sevenn|torch)\b|import_module\(\"(chgnet|sevenn|torch)", re.MULTILINE
    )
    package = Path(sisso_sal.__file__).parent
    found = [
        str(file.relative_to(package)) for file in package.rglob("*.py") if imports.search(file.read_text("utf-8"))
    ]
    assert found == ["oracle/engines/potentials.py"]


def test_estimates_have_the_weights_of_the_package_and_refuse_isolated_atoms(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(potentials, "_weights_of", lambda kind, model: tmp_path / model)
    for name in ("chgnet", "sevenn"):
        monkeypatch.setattr(potentials, name, lambda *given, **options: made.append((given, options)))
    KINDS["chgnet"].make("r2scan", tmp_path / "r2scan")
    calculator_of(Potential(name="sevenn", model="7net-0", version="none"))
    assert made == [(("r2scan",), {"on_isolated_atoms": "error"}), ((str(tmp_path / "7net-0"),), {})]
