"""The oracle ``folder:PATH``: calculations that were done already give labels that a campaign starts with.

It computes nothing. What the folder does not have, people label, or another oracle does when the campaign goes on with that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sisso_sal.errors import SettingsError
from sisso_sal.oracle.calculations.equal_settings import SettingsGroup, differences_from, groups_of
from sisso_sal.oracle.calculations.folder import Found, find_calculations
from sisso_sal.oracle.calculations.known import PLAIN, GroupLabels, reduced_formula
from sisso_sal.oracle.calculations.record import DoneCalculation
from sisso_sal.oracle.candidates import check_unit, formulas_of
from sisso_sal.oracle.stability.expressions import expression_names
from sisso_sal.oracle.stability.labels import LABELS
from sisso_sal.protocols import KnownLabel
from sisso_sal.settings.calculation import Compared, LabelSettings
from sisso_sal.system.documents import shown

if TYPE_CHECKING:
    from sisso_sal.data.table import Table
    from sisso_sal.settings.campaign import CampaignSettings

__all__ = ["Survey", "check_folder", "known_labels", "survey"]

SOURCE = "folder"
"""Source of these labels in the ledger."""

_FEW = 5
_UNUSED = ("structures", "structure_column")


@dataclass(frozen=True)
class Survey:
    """What calculations were found, and what they say of the candidates of a table.

    Attributes
    ----------
    found : Found
    groups : tuple of (SettingsGroup, int)
        Groups of equal settings that labels may be made of, the used one first, and how many candidates each gives a label.
    used : GroupLabels or None
        None where no calculation can be used.
    formulas : mapping of str to str
        Candidate -> formula, of those that have no label in the table.
    labels : mapping of str to KnownLabel
    lacking : mapping of str to tuple of str
        What the label of a candidate waits for, where it has none.
    """

    found: Found
    groups: tuple[tuple[SettingsGroup, int], ...]
    used: GroupLabels | None
    formulas: Mapping[str, str]
    labels: Mapping[str, KnownLabel]
    lacking: Mapping[str, tuple[str, ...]]

    @property
    def failed(self) -> list[DoneCalculation]:
        """Calculations that cannot be used."""
        return [one for one in self.found.calculations if not one.is_usable]

    @property
    def others(self) -> list[tuple[str, str, str, str]]:
        """Place, setting, value and that of the used group, of calculations with other settings."""
        return [] if self.used is None else differences_from(self.used.group, self.used.groups)

    @property
    def competitors(self) -> Counter[str]:
        """What labels wait for, and how many, among candidates that were computed."""
        if self.used is None:
            return Counter()
        computed = (id for id in self.lacking if self.used.has(self.formulas[id]))
        return Counter(lack for id in computed for lack in dict.fromkeys(self.lacking[id]))

    def notes(self) -> list[str]:
        """What a person should know before a campaign, a line each."""
        return [*self._about_calculations(), *self._about_settings(), *self._about_candidates()]

    def _about_calculations(self) -> Iterator[str]:
        n, failed = len(self.found.calculations), self.failed
        kinds = Counter(_kind(one.failure) for one in failed)
        told = f"; left out {', '.join(f'{count} {kind}' for kind, count in kinds.most_common())}" if failed else ""
        yield f"{self.found.path}: {n} calculations, {n - len(failed)} can be used{told}"
        if untold := sum(one.is_usable and not one.is_told_converged for one in self.found.calculations):
            yield f"of {untold} calculations no file says whether they converged"

    def _about_settings(self) -> Iterator[str]:
        if self.used is None:
            return
        yield f"labels are of {len(self.used.group.calculations)} calculations with equal settings: {self.used.group}"
        if others := self.others:
            names = Counter(name for _, name, _, _ in others)
            n = len({place for place, *_ in others})
            kinds = ", ".join(f"{name} ({count})" for name, count in names.most_common())
            yield f"{_counted(n, 'calculation')} with other settings {_are(n)} not used: {kinds}"
        versions = Counter(one.version for one in self.used.group.calculations if one.version)
        if len(versions) > 1:
            yield f"versions of the program: {', '.join(f'{name} ({count})' for name, count in versions.most_common())}"
        if len(self.groups) > 1 and self.groups[0][1] == self.groups[1][1] > 0:
            yield (
                f"another group of settings gives as many labels ({self.groups[1][0]}); label.calculated_with chooses: "
                f"{_chooser(self.groups[1][0], self.groups[0][0])}"
            )
        if self.used.oxygen and _needs_oxygen(self.used.settings):
            yield f"oxygen from {self.used.oxygen}"

    def _about_candidates(self) -> Iterator[str]:
        n = len(self.formulas)
        if self.used is None or not n:
            return
        absent = sum(not self.used.has(self.formulas[id]) for id in self.lacking)
        waiting = len(self.lacking) - absent
        more = [f"{absent} not computed"] * bool(absent) + [f"{waiting} computed, but the label is not known"] * bool(
            waiting
        )
        told = f" ({', '.join(more)})" if more else ""
        yield f"{self.used.settings.quantity} is known for {len(self.labels)} of {_counted(n, 'candidate')}{told}"
        if lacks := self.competitors.most_common():
            few = "; ".join(f"{what} ({count})" if count > 1 else what for what, count in lacks[:_FEW])
            yield f"labels wait for {few}{f' and {len(lacks) - _FEW} more' if len(lacks) > _FEW else ''}"

    def document(self) -> dict[str, Any]:
        """All of it as plain data."""
        return {
            "path": str(self.found.path),
            "n_calculations": len(self.found.calculations),
            "n_usable": len(self.found.calculations) - len(self.failed),
            "left_out": [
                {"calculation": one.place, "formula": reduced_formula(one), "reason": one.failure}
                for one in self.failed
            ],
            "groups": [
                {
                    "settings": dict(group.settings),
                    "n_calculations": len(group.calculations),
                    "n_labels": n,
                    "is_used": n_th == 0,
                }
                for n_th, (group, n) in enumerate(self.groups)
            ],
            "other_settings": [
                {"calculation": place, "setting": name, "value": value, "usual": usual}
                for place, name, value, usual in self.others
            ],
            "labels": [
                {"id": id, "formula": self.formulas[id], "value": one.value, "calculation": one.place}
                for id, one in self.labels.items()
            ],
            "lacking": [
                {"id": id, "formula": self.formulas[id], "lacks": list(lacks)} for id, lacks in self.lacking.items()
            ],
        }


def survey(
    path: str | Path,
    settings: LabelSettings,
    table: Table | None = None,
    *,
    every: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Survey:
    """Look at the calculations of a folder, and at what they say of candidates.

    Parameters
    ----------
    path : path
        A folder, or a file with several calculations.
    settings : LabelSettings
        What a label is, which settings must be the same, and which a calculation must have.
    table : Table, optional
        The candidates.
    every : bool
        Whether rows with a label are asked for as well.
    progress : callable, optional
        See `find_calculations`.

    Raises
    ------
    InputError
        There are no calculations, or none with the settings that were asked for.
    SettingsError
        The label is none that a folder can give, or the target has another unit.
    """
    expression_names(settings.quantity, [*LABELS, *PLAIN])
    if table is not None:
        check_unit(settings.quantity, table)
    formulas = {} if table is None else formulas_of(table, settings.formula)
    if table is not None and not every:
        open_rows = {id for id, known in zip(table.ids, table.labelled, strict=True) if not known}
        formulas = {id: formula for id, formula in formulas.items() if id in open_rows}
    found = find_calculations(path, progress=progress)
    usable = [one for one in found.calculations if one.is_usable]
    groups = groups_of(usable, settings.same_settings)
    allowed = _allowed(groups, settings.calculated_with, path)
    if not allowed:
        return Survey(found, (), None, formulas, {}, dict.fromkeys(formulas, ("no calculation can be used",)))
    failed = [one for one in found.calculations if not one.is_usable]
    made = [GroupLabels(group, groups, failed, settings) for group in allowed]
    answers = [{id: one.answer(formula) for id, formula in formulas.items()} for one in made]
    counts = [sum(answer.value is not None for answer in some.values()) for some in answers]
    best = counts.index(max(counts))  # of equal ones the group of the most calculations, which comes first
    order = sorted(range(len(made)), key=lambda n: (n != best, -counts[n], n))
    labels = {
        id: KnownLabel(one.value, SOURCE, one.place) for id, one in answers[best].items() if one.value is not None
    }
    lacking = {id: one.lacks for id, one in answers[best].items() if one.value is None}
    ranked = tuple((allowed[n], counts[n]) for n in order)
    return Survey(found, ranked, made[best], formulas, labels, lacking)


def _allowed(groups: list[SettingsGroup], wanted: Mapping[Compared, str], path: str | Path) -> list[SettingsGroup]:
    """The groups with the settings that are wanted."""
    allowed = [
        group
        for group in groups
        if all(group.settings.get(name, "").casefold() == value.casefold() for name, value in wanted.items())
    ]
    if groups and not allowed:
        told = ", ".join(f"{name} = {shown(value)}" for name, value in wanted.items())
        there = {name: sorted({group.settings.get(name, "not compared") for group in groups}) for name in wanted}
        known = "; ".join(f"{name}: {', '.join(values)}" for name, values in there.items())
        raise SettingsError(f"label.calculated_with: needs settings of calculations in {path} ({known}), found {told}")
    return allowed


def known_labels(
    settings: CampaignSettings, table: Table, path: str, progress: Callable[[int, int], None] | None = None
) -> tuple[dict[str, KnownLabel], list[str]]:
    """The labels that a folder has, and what is to be told; see `sisso_sal.oracle.registry.OracleKind`."""
    looked = survey(path, settings.label, table, progress=progress)
    unused = [name for name in _UNUSED if getattr(settings.label, name) is not None]
    more = [f"label.{name} has no effect with calculations that were done already" for name in unused]
    return dict(looked.labels), [*looked.notes(), *more]


def check_folder(settings: CampaignSettings) -> str:
    """What the folder that settings name has, in words.

    Raises
    ------
    InputError, SettingsError
        See `survey`.
    """
    looked = survey(settings.run.oracle.partition(":")[2], settings.label)
    return "; ".join(looked.notes())


def _kind(failure: str) -> str:
    """The first words of a failure, which all of its kind share."""
    kind = failure.partition(":")[0].partition(" (")[0]
    return shown(kind).strip("'") if kind else "without energy"


def _needs_oxygen(settings: LabelSettings) -> bool:
    return bool(expression_names(settings.quantity, [*LABELS, *PLAIN]) & ({*LABELS} - {"band_gap"}))


def _chooser(group: SettingsGroup, used: SettingsGroup) -> str:
    """What to write in order to choose a group."""
    differing = [f'{name} = "{value}"' for name, value in group.settings.items() if value != used.settings[name]]
    return f"{{ {', '.join(differing)} }}"


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}{'s' * (n != 1)}"


def _are(n: int) -> str:
    return "is" if n == 1 else "are"
