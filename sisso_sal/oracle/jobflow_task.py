"""The process of one submission to a Maker of jobflow: it reads the request, runs the jobs in its folder, and writes the answer.

`sisso_sal.oracle.command.CommandOracle` starts it as ``python -m sisso_sal.oracle.jobflow_task OUTPUTS``.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from sisso_sal.errors import DocumentError, OracleError, SissoSalError
from sisso_sal.oracle.answers import read_submission
from sisso_sal.oracle.engines.jobflow_maker import run_maker
from sisso_sal.oracle.jobflow_outputs import Asked, Outputs
from sisso_sal.system.documents import one_line, record_of
from sisso_sal.system.storage import write_whole

__all__ = ["main"]


def answer_to(asked: Asked, folder: Path, outputs: Outputs) -> dict[str, Any]:
    """The answer to what was asked, from the output that is there or a new one.

    Parameters
    ----------
    asked : Asked
    folder : path
        Where the jobs run.
    outputs : Outputs

    Returns
    -------
    dict
        As `sisso_sal.oracle.command.CommandOracle` reads it.
    """
    from pymatgen.core import Molecule, Structure

    structure: Any = (Structure if "lattice" in asked.structure else Molecule).from_dict(asked.structure)
    try:
        with outputs.alone(asked):
            if outputs.read(asked) is None:
                outputs.write(asked, run_maker(folder, asked.maker, asked.settings, structure))
        return {"value": outputs.value(asked)}
    except OracleError as error:
        return {"failure": "calculation", "reason": one_line(str(error))}
    except SissoSalError as error:
        return {"failure": "invalid", "reason": one_line(str(error))}


def main() -> None:
    """Answer the request in the current submission."""
    job = Path(os.environ["SISSO_SAL_FOLDER"])
    try:
        asked = record_of(Asked, read_submission(job).candidate)
        answer = answer_to(asked, job / "work", Outputs(Path(sys.argv[1])))
    except DocumentError as error:
        answer = {"failure": "invalid", "reason": one_line(str(error))}
    write_whole(Path(os.environ["SISSO_SAL_ANSWER"]), json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
