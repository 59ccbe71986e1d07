"""Scripts that run a command on a cluster with Slurm."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click

from sisso_sal.cli.help import Command, panel
from sisso_sal.cli.options import COMMON
from sisso_sal.cli.terminal import next_step, show
from sisso_sal.errors import SettingsError

COMMANDS = ("discover", "screen", "fit", "tune", "estimate", "replay")
"""Those that take hours."""

_TIME = r"\d+|\d+:\d\d|\d+:\d\d:\d\d|\d+-\d+(:\d\d){0,2}"


def _time(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    if not re.fullmatch(_TIME, value):
        raise click.BadParameter(f"needs a time as Slurm reads it, such as 24:00:00 or 2-12, found '{value}'")
    return value


@click.command(cls=Command, short_help="Job scripts for a cluster with Slurm")
@click.argument("folder", type=click.Path(path_type=Path))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@panel(
    "The jobs",
    click.option(
        "--time",
        default="24:00:00",
        show_default=True,
        callback=_time,
        help="Walltime of a job; the driver goes on in the next.",
    ),
    click.option("--cores", type=click.IntRange(min=1), default=1, show_default=True, help="Cores of a job."),
    click.option("--memory", metavar="SIZE", default="", help="Memory of a job, such as 16G."),
    click.option("--partition", metavar="NAME", help="Partition of the queue."),
    click.option("--account", metavar="NAME", help="Account that pays."),
    click.option("--option", multiple=True, metavar="OPTION", help="Further option of sbatch; may be repeated."),
    click.option("--module", multiple=True, metavar="NAME", help="Module to load; may be repeated."),
    click.option("--setup", multiple=True, metavar="LINE", help="Line of shell before the command; may be repeated."),
)
@panel(
    "More jobs",
    click.option(
        "--workers",
        type=click.IntRange(min=0),
        default=0,
        help="Jobs of Dask workers for the command; none by default.",
    ),
    click.option("--interface", metavar="NAME", default="", help="Network by which Dask talks, such as ib0."),
    click.option(
        "--array",
        "shares",
        type=click.IntRange(min=0),
        default=0,
        help="Jobs that each do a share of a screen, without Dask.",
    ),
    click.option(
        "--calculations",
        type=click.IntRange(min=0),
        default=0,
        help="Jobs that compute for discover --oracle structure or aims.",
    ),
    click.option(
        "--calculation-options",
        metavar="OPTIONS",
        default="",
        help="Options of sbatch for these, such as '--nodes=2 --ntasks-per-node=72 --time=12:00:00'.",
    ),
)
@COMMON
def slurm(folder, command, quiet, debug, time, cores, memory, partition, account, option, module, setup, workers, interface,
          shares, calculations, calculation_options):  # fmt: skip
    """Write scripts that run COMMAND on a cluster with Slurm; FOLDER is where its run or screening is kept.

    The scripts are in FOLDER.slurm; bash FOLDER.slurm/submit.sh starts them. The driver stops five minutes before the end of its
    walltime, and the next job goes on; the last one ends the chain. COMMAND stands after two dashes. It is kept: to change only the
    jobs, leave it out.

    \b
    Examples:
      sisso-sal slurm runs/first --time 12:00:00 -- discover table.csv
      sisso-sal slurm all --workers 20 --cores 16 -- screen model.json pool
      sisso-sal slurm all --array 50 -- screen model.json pool
    """
    from sisso_sal.system.slurm import absolute
    from sisso_sal.system.slurm_scripts import Jobs, scripts
    from sisso_sal.system.storage import write_whole, writing

    place = Path(f"{absolute(folder)}.slurm")
    kept = place / "command.json"
    words = _with_out(folder, command) if command else _kept(kept)
    _check(words, workers, shares, calculations)
    header = [f"--{name}={value}" for name, value in (("partition", partition), ("account", account)) if value]
    jobs = Jobs(
        folder=str(place), place=absolute("."), command=words, name=folder.name, run=absolute(folder),
        options=(*header, *option), time=time, cores=cores, memory=memory,
        setup=(*(f"module load {shlex.quote(name)}" for name in module), *setup), workers=workers, interface=interface,
        shares=shares, calculations=calculations, calculation_options=tuple(shlex.split(calculation_options)),
    )  # fmt: skip
    with writing(place):
        place.mkdir(parents=True, exist_ok=True)
        made = scripts(jobs)
        for old in {path.name for path in place.glob("*.sh")} - set(made):
            (place / old).unlink()
    for name, text in made.items():
        write_whole(place / name, text)
    write_whole(kept, json.dumps({"command": words}) + "\n")
    if not quiet:
        show(f"Scripts in {place}: {', '.join(made)}")
    next_step(f"read them, then bash {shlex.quote(str(place / 'submit.sh'))}")


def _with_out(folder: Path, command: tuple[str, ...]) -> tuple[str, ...]:
    """The command with its --out: the folder, for those that keep one."""
    if command[0] not in ("discover", "screen"):
        return command
    given = [command[i + 1] for i, word in enumerate(command[:-1]) if word == "--out"]
    given += [word.partition("=")[2] for word in command if word.startswith("--out=")]
    if not given:
        return (*command, "--out", str(folder))
    if Path(given[-1]).absolute() != folder.absolute():
        raise SettingsError(f"command: needs '{folder}' as its folder, or none named, found '{given[-1]}'")
    return command


def _kept(file: Path) -> tuple[str, ...]:
    from sisso_sal.system.documents import read_json

    if not file.exists():
        raise SettingsError(
            f"command: needs a command after two dashes, such as -- discover TABLE, found none; {file} is not there"
        )
    match read_json(file):
        case {"command": [*words]} if words and all(isinstance(word, str) for word in words):
            return tuple(words)
    raise SettingsError(f"{file}: needs a command, as a list of words")


def _check(words: tuple[str, ...], workers: int, shares: int, calculations: int) -> None:
    name, rest = words[0], words[1:]
    problem: Any = None
    if name not in COMMANDS:
        problem = f"one of {', '.join(COMMANDS)}, found '{name}'"
    elif workers and any(word.partition("=")[0] == "--executor" for word in rest):
        problem = "no executor of its own where --workers starts one, found one"
    elif shares and name != "screen":
        problem = f"screen where --array shares it out, found '{name}'"
    elif shares and workers:
        problem = "--workers or --array, found both"
    elif calculations and name != "discover":
        problem = f"discover where --calculations computes for it, found '{name}'"
    if problem:
        raise SettingsError(f"command: needs {problem}")
