"""Columns of cheap estimates: a universal potential relaxes the rows of a table and what competes with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import click

from sisso_sal.cli import known_values
from sisso_sal.cli.help import Command, panel
from sisso_sal.cli.options import COMMON, JSON, TABLE, WORKERS, check_free, dumps, load, number, write
from sisso_sal.cli.terminal import emit, next_step, note, show
from sisso_sal.data.headers import split_header
from sisso_sal.errors import InputError, SettingsError

if TYPE_CHECKING:
    from sisso_sal.data.columns import ColumnFile
    from sisso_sal.fidelity.columns import EstimateQuestion, RowEstimate
    from sisso_sal.fidelity.estimates import Energies
    from sisso_sal.fidelity.fitted import FittedScheme
    from sisso_sal.fidelity.potentials import Potential
    from sisso_sal.fidelity.schemes import Scheme
    from sisso_sal.fidelity.starts import Start
    from sisso_sal.oracle.engines.relaxation import RelaxationSettings
    from sisso_sal.settings.calculation import LabelSettings
    from sisso_sal.system.executors import Workers

HERE_ALONE = {"executor": "local", "n": None}
"""Nothing was said of workers."""

_FILE = click.Path(path_type=Path, dir_okay=False)
_N_NAMES = 8
"""Formulas that a line names."""


@click.command(cls=Command, short_help="Add cheap estimates from a universal potential")
@TABLE
@panel(
    "Energies",
    click.option(
        "--potential", metavar="NAME", help="chgnet, sevenn, or package.module:Class of an ASE calculator; chgnet by default."
    ),
    click.option("--model", metavar="NAME", help="Which of the potential's models, e.g. 0.3.0 or r2scan of chgnet."),
    click.option("--force-tolerance", type=click.FloatRange(min=0, min_open=True), help="In eV/Å; 0.1 by default."),
    click.option("--max-steps", type=click.IntRange(min=1), help="Of a relaxation; 60 by default."),
    click.option("--max-prototypes", type=click.IntRange(min=1), help="Starting structures of an oxide; 3 by default."),
    click.option("--energies", type=_FILE, help="Use the energies in this file, and compute nothing."),
    click.option(
        "--check-phonons", is_flag=True, help="Also phonons of each row's lowest structure; needs the extra phonons."
    ),
)  # fmt: skip
@panel(
    "What is made of them",
    click.option("--scheme", metavar="NAME", help="Reference scheme of the energies; by default that of the potential."),
    click.option(
        "--fit-reference", type=_FILE, help="Fit the scheme to measured enthalpies: columns formula, H_f (eV/atom)."
    ),
    click.option(
        "--competitors", type=click.Choice(["pool", "binary"]), default="pool", show_default=True,
        help="Oxides that must be known beside a row: all of the pool with its metals, or the binary ones.",
    ),
    click.option(
        "--formula", metavar="COLUMN", shell_complete=known_values.columns,
        help="Column of the formulas; by default formula or composition, or else the first text column.",
    ),
    click.option("--ions", type=_FILE, help="Further dissolved species: columns species (as Fe+++), mu (eV)."),
    click.option(
        "--config", type=click.Path(path_type=Path), help="Settings: conditions, ions, structures of section [label]."
    ),
)  # fmt: skip
@panel(
    "Output",
    click.option("--out", type=_FILE, help="The new table; TABLE.estimated.csv by default."),
    click.option("--save-energies", type=_FILE, help="Also write the energies, for --energies; packed if it ends in .gz."),
    click.option("--force", is_flag=True, help="Replace these files if they exist."),
)  # fmt: skip
@WORKERS
@JSON
@COMMON
def estimate(
    table, formula, competitors, out, save_energies, energies, force, as_json, quiet, debug, config, **options
):
    """Relax the rows of TABLE with a universal potential, and add what follows from the energies as columns.

    The new columns are the free energy of Pourbaix decomposition, the enthalpy of formation, the energy above the hull, the volume
    and the structure type of the lowest phase. `fit` and `discover` use the numbers as further primary features. Structures that
    were relaxed are kept beside the new table: the same command goes on where it was stopped.

    \b
    Examples:
      sisso-sal estimate candidates.csv
      sisso-sal estimate candidates.csv --workers 8 --competitors binary
      sisso-sal estimate candidates.csv --energies energies.csv.gz
      sisso-sal estimate proposals.csv --check-phonons
    """
    from sisso_sal.data.columns import read_columns
    from sisso_sal.fidelity.columns import headers
    from sisso_sal.fidelity.energies import described, write_energies
    from sisso_sal.fidelity.estimates import estimates, settled
    from sisso_sal.oracle.stability.measured import read_enthalpies
    from sisso_sal.system.executors import open_workers

    out = _checked(out or table.with_name(f"{table.name.partition('.')[0]}.estimated.csv"), table, save_energies, force)
    label = load(config, {}).label
    file = read_columns(table)
    for line in file.notes:
        note(line)
    if label.vibrations is not None:
        note("label.vibrations has no effect on estimates; --check-phonons adds a column of them")
    formulas = _formulas(file, formula or label.formula)
    measured = None if options["fit_reference"] is None else read_enthalpies(options["fit_reference"])
    question = _question(label, competitors, options["ions"] or label.ions)
    where = {"executor": options.pop("executor"), "n": options.pop("n_workers")}
    with open_workers(**where, threads=1, tell=note) as workers:
        if energies is None:
            made = _computed(formulas, question, label, file, measured, out, quiet or as_json, options, workers)
        else:
            made = _read(energies, {**options, "save_energies": save_energies, "workers": where != HERE_ALONE})
        scheme, fit = settled(made.potential, made.energies, options["scheme"], measured)
        rows = estimates(formulas, made.energies, scheme, question, made.lacking)
        if not any(row.values for row in rows):
            raise InputError(f"{table}: no row can be estimated; {rows[0].formula}: {rows[0].reason}")
        if save_energies is not None and made.settings is not None:
            write_energies(save_energies, made.energies[0], described(made.starts), made.potential, made.settings)
        if options["check_phonons"]:
            rows = _vibrating(rows, made, out, quiet or as_json, workers)
    write(_csv(file, rows, headers(made.potential.tag, question.quantity, options["check_phonons"])), out, force)
    document = _document(rows, made, scheme, fit, out)
    emit(dumps(document)) if as_json else show(_text(document))
    _hint(file, out)


class _Made(NamedTuple):
    """Energies, and how they were made."""

    potential: Potential
    settings: RelaxationSettings | None
    energies: Energies
    starts: Sequence[Start] = ()
    lacking: Mapping[str, str] = {}


def _checked(out: Path, table: Path, save_energies: Path | None, force: bool) -> Path:
    for path in (out, *([] if save_energies is None else [save_energies])):
        if path.exists() and table.exists() and path.samefile(table):
            raise InputError(f"{path}: is the table itself; give another file")
        check_free(path, force)
    return out


def _formulas(file: ColumnFile, name: str | None) -> tuple[str, ...]:
    """The cells of the column of formulas: the one that is named, else one called so, else the first of text."""
    texts = [column for column in file.columns if column.is_text]
    if name is not None:
        chosen = [column for column in texts if name in (column.header, column.name)]
    else:
        called = [column for column in texts if column.name.lower() in {"formula", "composition"}]
        chosen = called or texts
    if not chosen:
        problem = "no text column" if name is None else f"no '{name}'"
        raise InputError(f"{file.path}: needs a text column of formulas, found {problem}")
    return chosen[0].texts()


def _question(
    label: LabelSettings, competitors: Literal["pool", "binary"], ions: Path | str | None
) -> EstimateQuestion:
    """What section ``[label]`` asks for; its quantity is a further column where it is more than ΔG_pbx."""
    from sisso_sal.fidelity.columns import EstimateQuestion
    from sisso_sal.oracle.stability.aqueous import aqueous_species
    from sisso_sal.oracle.stability.pourbaix import Conditions
    from sisso_sal.oxides.metals import METALS

    return EstimateQuestion(
        rule=competitors,
        chosen=label.competitors,
        conditions=Conditions(potential=label.potential, pH=label.pH, concentration=label.concentration),
        ions=None if ions is None else aqueous_species(METALS, ions),
        oxygen_correction=label.oxygen_correction,
        quantity="" if label.quantity == "dG_pbx" else label.quantity,
    )


def _read(path: Path, options: Mapping[str, Any]) -> _Made:
    """The energies of a file; a file that does not say by which potential needs its name."""
    from sisso_sal.fidelity.energies import read_energies
    from sisso_sal.fidelity.potentials import KINDS, Potential

    of_computing = ("save_energies", "max_steps", "force_tolerance", "max_prototypes", "check_phonons", "workers")
    if any(options[name] for name in of_computing):
        raise click.UsageError(f"--energies {path}: computes nothing; leave out what is said of a computation")
    file = read_energies(path)
    potential = file.potential
    if potential is None and options["potential"] is None:
        raise InputError(f"{path}: does not say by which potential; give --potential NAME")
    if potential is None:
        name, kind = options["potential"], KINDS.get(options["potential"])
        model = options["model"] or ("" if kind is None else next(iter(kind.models)))
        potential = Potential(name=name, model=model, scheme="" if kind is None else kind.models.get(model, ""))
    elif options["potential"] not in (None, potential.name) or options["model"] not in (None, potential.model):
        raise InputError(f"{path}: holds energies of {potential}, not of the one that was asked for")
    return _Made(potential, file.settings, (dict(file.outcomes), dict(file.formulas)))


def _computed(
    formulas: Sequence[str],
    question: EstimateQuestion,
    label: LabelSettings,
    file: ColumnFile,
    measured: Mapping[str, float] | None,
    out: Path,
    quiet: bool,
    options: Mapping[str, Any],
    workers: Workers,
) -> _Made:
    """The energies of everything that is needed, from parts and computed now."""
    from sisso_sal.fidelity.estimates import needed_plan, relaxed_energies
    from sisso_sal.fidelity.potentials import open_potential
    from sisso_sal.fidelity.schemes import scheme_of
    from sisso_sal.oracle.engines.phonons import need_phonopy
    from sisso_sal.oracle.engines.relaxation import RelaxationSettings
    from sisso_sal.system.progress import Progress

    if options["check_phonons"]:
        need_phonopy()
    potential = open_potential(options["potential"] or "chgnet", options["model"])
    if measured is None:
        scheme_of(potential, options["scheme"])  # an unknown scheme is told before anything is computed
    settings = RelaxationSettings(
        force_tolerance=options["force_tolerance"] or 0.1, max_steps=options["max_steps"] or 60
    )
    limit = options["max_prototypes"] or label.max_prototypes
    planned = needed_plan(formulas, question, _structures(label, file, formulas), limit, list(measured or ()))
    with Progress("relaxing structures", quiet) as progress:
        energies = relaxed_energies(planned, potential, settings, _parts(out), workers, progress=progress, tell=note)
    return _Made(potential, settings, energies, planned.starts, planned.lacking)


def _parts(out: Path) -> Path:
    """The folder of what was computed, beside the new table."""
    return out.with_name(f"{out.name.partition('.')[0]}.estimates")


def _vibrating(rows: Sequence[RowEstimate], made: _Made, out: Path, quiet: bool, workers: Workers) -> list[RowEstimate]:
    """The rows with the phonons of their lowest phases."""
    from sisso_sal.fidelity.phonon_parts import with_phonons
    from sisso_sal.system.progress import Progress

    with Progress("phonons", quiet) as progress:
        return with_phonons(rows, made.starts, made.potential, _parts(out), workers, progress=progress, tell=note)


def _structures(label: LabelSettings, file: ColumnFile, ids: Sequence[str]) -> dict[str, Any]:
    """The user's structures: of a folder or database, and of a column."""
    from sisso_sal.oxides.structures import read_structures, structures_of_column

    by_formula = {} if label.structures is None else dict(read_structures(label.structures))
    if label.structure_column is None:
        return by_formula
    cells = next((c.texts() for c in file.columns if label.structure_column in (c.header, c.name)), None)
    if cells is None:
        raise SettingsError(
            f"label.structure_column: needs a column of {file.path}, found no '{label.structure_column}'"
        )
    named = {f"{row} ({id})": cell for row, (id, cell) in enumerate(zip(ids, cells, strict=True), 1) if cell.strip()}
    for key, structures in structures_of_column(named).items():
        by_formula[key] = [*by_formula.get(key, ()), *structures]
    return by_formula


def _csv(file: ColumnFile, rows: Sequence[RowEstimate], names: Mapping[str, str]) -> str:
    """The table with the new columns (name -> header), which take the place of columns of the same name."""
    import pandas as pd

    from sisso_sal.data.spreadsheet import csv_of

    own = {split_header(header)[0] for header in names.values()}
    replaced = [column.header for column in file.columns if column.name in own]
    if replaced:
        note(f"replaced by new values: {', '.join(replaced)}")
    columns: dict[str, Sequence[str]] = {c.header: c.texts() for c in file.columns if c.header not in replaced}
    for name, header in names.items():
        if name in _WORDS:
            columns[header] = [_WORDS[name](row) for row in rows]
        else:
            columns[header] = [f"{row.values[name]:.6f}" if name in row.values else "" for row in rows]
    return csv_of(pd.DataFrame(columns), [c.header for c in file.columns if c.is_text and c.header in columns])


def _phonons(row: RowEstimate) -> str:
    from sisso_sal.fidelity.phonon_parts import phonon_text

    return phonon_text(row)


_WORDS: Mapping[str, Callable[[RowEstimate], str]] = {
    "structure": lambda row: row.structure,
    "relaxation": lambda row: row.relaxation(),
    "reason": lambda row: row.reason,
    "phonons": _phonons,
}
"""Columns of text: no primary features."""


def _document(
    rows: Sequence[RowEstimate], made: _Made, scheme: Scheme, fit: FittedScheme | None, out: Path
) -> dict[str, Any]:
    from sisso_sal.fidelity.columns import headers
    from sisso_sal.fidelity.estimates import reasons

    known = Counter(name for row in rows for name in row.values)
    outcomes = made.energies[0].values()
    fitted = None if fit is None else {
        "n_oxides": fit.n_oxides, "rms": fit.rms, "leave_one_out": number(fit.loo), "left_out": fit.left_out,
    }  # fmt: skip
    return {
        "out": str(out),
        "potential": made.potential.document(),
        "scheme": {"name": scheme.name, "oxygen": scheme.oxygen, "shifts": dict(scheme.shifts), "fit": fitted,
                   "words": scheme.words, "source": scheme.source},
        "n_rows": len(rows),
        "n_known": {headers(made.potential.tag, "-", True)[name]: n for name, n in sorted(known.items())},
        "not_known": reasons(rows),
        "structures": {"n": len(outcomes), "n_without_energy": sum(not one.converged for one in outcomes)},
        "phonons": _vibrations(rows),
    }  # fmt: skip


def _vibrations(rows: Sequence[RowEstimate]) -> dict[str, Any] | None:
    """How many rows have phonons, and which are unstable; None where no phonons were asked for."""
    computed = {row.formula: row.phonons for row in rows if row.phonons is not None}
    if not computed:
        return None
    return {
        "n": sum(one.frequency is not None for one in computed.values()),
        "unstable": sorted(formula for formula, one in computed.items() if one.unstable),
        "not_known": {formula: one.reason for formula, one in sorted(computed.items()) if one.reason},
    }


def _text(document: Mapping[str, Any]) -> str:
    """What was made, for people."""
    from sisso_sal.fidelity.potentials import Potential

    scheme, structures = document["scheme"], document["structures"]
    lines = [
        f"{document['out']}: {document['n_rows']} rows; {structures['n']} structures, "
        f"{structures['n_without_energy']} of them without an energy",
        f"  potential {Potential(**document['potential'])}, reference {scheme['name']}: {scheme['words']}",
    ]
    if scheme["fit"] is not None:
        fit = scheme["fit"]
        shifts = "".join(f", {metal} {x:+.3f}" for metal, x in scheme["shifts"].items())
        lines.append(
            f"  O {scheme['oxygen']:.3f} eV/atom{shifts}; error of an oxide left out {fit['leave_one_out']:.3f} eV/atom"
        )
    lines += [f"  {n:6d}  {header}" for header, n in document["n_known"].items()]
    if document["not_known"]:
        lines += ["not known:", *(f"  {n:6d}  {reason}" for reason, n in document["not_known"].items())]
    if document["phonons"] is not None:
        lines += _vibration_lines(document["phonons"])
    return "\n".join(lines)


def _vibration_lines(phonons: Mapping[str, Any]) -> list[str]:
    unstable = phonons["unstable"]
    more = f" and {len(unstable) - _N_NAMES} more" if len(unstable) > _N_NAMES else ""
    names = f": {', '.join(unstable[:_N_NAMES])}{more}" if unstable else ""
    lines = [f"phonons of {phonons['n']} formulas; {len(unstable)} dynamically unstable{names}"]
    kinds = Counter(reason.partition(": ")[0] for reason in phonons["not_known"].values())
    return lines + [f"  {n:6d}  without phonons: {reason}" for reason, n in sorted(kinds.items())]


def _hint(file: ColumnFile, out: Path) -> None:
    """What to do next; the target is named, because the new columns may have gaps as well."""
    gaps = [column.name for column in file.columns if column.values is not None and column.gaps.any()]
    target = f" --target {gaps[0]}" if len(gaps) == 1 else " --target COLUMN"
    next_step(f"sisso-sal discover {out}{target}")
