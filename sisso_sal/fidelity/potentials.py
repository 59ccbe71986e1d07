"""Universal potentials: which there are, where their weights come from, and the ASE calculator of each.

Weights come with the package of a potential; nothing is downloaded. A potential is a few names, so that it travels to other
processes; each of them makes its calculator once.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import io
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sisso_sal.errors import InputError, SettingsError
from sisso_sal.oracle.engines.potentials import chgnet, sevenn
from sisso_sal.system.documents import one_line

__all__ = ["KINDS", "Potential", "PotentialKind", "calculator_of", "open_potential"]


@dataclass(frozen=True, kw_only=True)
class PotentialKind:
    """A potential whose weights come with its package.

    Parameters
    ----------
    package : str
        The distribution; it is imported by the same name.
    extra : str
        The extra of this program that installs it.
    models : mapping of str to str
        Name of a model -> its reference scheme, see `sisso_sal.fidelity.schemes`; the first one is the default.
    weights : mapping of str to str
        Name of a model -> file of its weights, below the folder of the package.
    make : callable
        Model and file of weights -> ASE calculator.
    source : str
    """

    package: str
    extra: str
    models: Mapping[str, str]
    weights: Mapping[str, str]
    make: Callable[[str, Path], Any]
    source: str


def _chgnet(model: str, weights: Path) -> Any:
    return chgnet(model, on_isolated_atoms="error")


def _sevenn(model: str, weights: Path) -> Any:
    return sevenn(str(weights))


KINDS: Mapping[str, PotentialKind] = MappingProxyType(
    {
        "chgnet": PotentialKind(
            package="chgnet",
            extra="potential-chgnet",
            models={"0.3.0": "mp2020", "0.2.0": "mp2020", "r2scan": "chgnet-r2scan"},
            weights={
                "0.3.0": "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
                "0.2.0": "pretrained/0.2.0/chgnet_0.2.0_e30f77s348m32.pth.tar",
                "r2scan": "pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
            },
            make=_chgnet,
            source="B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023), doi 10.1038/s42256-023-00716-3",
        ),
        "sevenn": PotentialKind(
            package="sevenn",
            extra="potential-sevenn",
            models={"7net-0": "mp-uncorrected"},
            weights={"7net-0": "pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth"},
            make=_sevenn,
            source="Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024), doi 10.1021/acs.jctc.4c00190",
        ),
    }
)
"""Potentials whose weights come inside their wheels; their packages exclude each other."""


@dataclass(frozen=True, kw_only=True)
class Potential:
    """One potential, by what its energies depend on.

    Attributes
    ----------
    name : str
        A key of `KINDS`, or ``package.module:Class``.
    model : str
        Which of its models; "" where there is one.
    version : str
        Of its package; "" where that is not known.
    weights : str
        First 32 digits of the SHA-256 of the file of weights; "" where there is none.
    scheme : str
        Reference scheme that it declares; "" where it declares none.
    """

    name: str
    model: str = ""
    version: str = ""
    weights: str = ""
    scheme: str = field(default="", compare=False)

    @property
    def tag(self) -> str:
        """The word that stands for it in names of columns.

        Examples
        --------
        >>> Potential(name="chgnet", model="r2scan").tag, Potential(name="ase.calculators.emt:EMT").tag
        ('chgnet_r2scan', 'emt')
        """
        word = self.name.rpartition(":")[2].lower()
        kind = KINDS.get(self.name)
        default = self.model if kind is None else next(iter(kind.models))
        return word if self.model in ("", default) else f"{word}_{re.sub(r'[^a-z0-9]+', '_', self.model.lower())}"

    def __str__(self) -> str:
        return f"{self.name} {self.model}".strip()

    def identity(self) -> list[str]:
        """What its energies depend on."""
        return [self.name, self.model, self.version, self.weights]

    def document(self) -> dict[str, str]:
        """As JSON."""
        return asdict(self)


def open_potential(name: str, model: str | None = None) -> Potential:
    """The potential of a name, after it was found on this machine.

    Parameters
    ----------
    name : str
        A key of `KINDS`, or ``package.module:Class`` of an ASE calculator. The class is called without arguments, or with
        ``model=``. Its attributes ``reference_scheme`` and ``version`` are used where it has them.
    model : str, optional
        By default the first of its models.

    Raises
    ------
    InputError
        Its package is not installed, or the class cannot be imported.
    SettingsError
        There is no such potential or model.
    """
    kind = KINDS.get(name)
    if kind is None:
        return _of_class(name, model or "")
    if model is not None and model not in kind.models:
        raise SettingsError(f"model: needs one of {', '.join(kind.models)} for {name}, found '{model}'")
    chosen = model or next(iter(kind.models))
    try:
        version = importlib.metadata.version(kind.package)
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            f"potential '{name}': not installed; install the CPU build of torch, then pip install 'sisso-sal[{kind.extra}]'"
        ) from None
    return Potential(
        name=name,
        model=chosen,
        version=version,
        weights=_digest(_weights_of(kind, chosen)),
        scheme=kind.models[chosen],
    )


def _weights_of(kind: PotentialKind, model: str) -> Path:
    """The file of weights inside the installed package."""
    found = importlib.util.find_spec(kind.package)
    folder = None if found is None or found.origin is None else Path(found.origin).parent
    if folder is None or not (folder / kind.weights[model]).is_file():
        raise InputError(f"potential '{kind.package}': the installed package has no weights of '{model}'")
    return folder / kind.weights[model]


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()[:32]


def _of_class(name: str, model: str) -> Potential:
    kind = _class_of(name)
    package = name.partition(".")[0].partition(":")[0]
    version = str(getattr(kind, "version", "") or getattr(importlib.import_module(package), "__version__", ""))
    return Potential(name=name, model=model, version=version, scheme=str(getattr(kind, "reference_scheme", "")))


def _class_of(name: str) -> Any:
    if not re.fullmatch(r"[\w.]+:\w+", name):
        raise SettingsError(f"potential: needs one of {', '.join(KINDS)} or 'package.module:Class', found '{name}'")
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"potential '{name}': cannot be imported ({error})") from None


@cache
def calculator_of(potential: Potential) -> Any:
    """The ASE calculator of a potential, made once in a process.

    Raises
    ------
    InputError
        It cannot be made.
    """
    kind = KINDS.get(potential.name)
    try:
        if kind is not None:
            return kind.make(potential.model, _weights_of(kind, potential.model))
        arguments = {"model": potential.model} if potential.model else {}
        with contextlib.redirect_stdout(io.StringIO()):  # some say on which device they run
            return _class_of(potential.name)(**arguments)
    except (ImportError, TypeError, ValueError, RuntimeError, OSError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"potential '{potential.name}': cannot be set up: {one_line(str(error), 200)}") from error
