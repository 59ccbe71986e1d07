"""Thousands of wrong inputs: no traceback, no hang, the exit code as documented, and nothing ignored without a word.

`make test-fuzz`; FUZZ_SEED chooses other inputs. A number in a message makes the same input again:
``pytest -m fuzz -k "settings and 12"`` for those from 600 to 649.
"""

import pytest
from fuzz_calls import tried
from fuzz_documents import model_file, settings_file
from fuzz_formulas import formula
from fuzz_inputs import sisso_input
from fuzz_runs import answer_or_note, broken_folder
from fuzz_tables import table

KINDS = {
    "tables": (table, 2000),
    "settings files": (settings_file, 500),
    "model files": (model_file, 500),
    "SISSO inputs": (sisso_input, 500),
    "formulas": (formula, 300),
    "answers and notes": (answer_or_note, 300),
    "run folders": (broken_folder, 300),
}
"""What makes an input of each kind, and how many are tried in one process; further 50 of each are tried as commands."""
AT_ONCE = 50

CHUNKS = [
    pytest.param(kind, first, id=f"{kind} {first}-{first + AT_ONCE - 1}")
    for kind, (_, n) in KINDS.items()
    for first in range(0, n, AT_ONCE)
]


@pytest.mark.fuzz
@pytest.mark.parametrize(("kind", "first"), CHUNKS)
def test_in_one_process(kind, first, tmp_path, record_property):
    make = KINDS[kind][0]
    faults = [tried(make, kind, number, tmp_path / str(number)) for number in range(first, first + AT_ONCE)]
    record_property(kind, AT_ONCE)
    assert not any(faults), "\n".join(filter(None, faults))


@pytest.mark.fuzz
@pytest.mark.parametrize("kind", KINDS)
def test_as_commands(kind, tmp_path, record_property):
    make, n = KINDS[kind]
    numbers = range(n, n + AT_ONCE)
    faults = [tried(make, kind, number, tmp_path / str(number), is_command=True) for number in numbers]
    record_property(f"{kind}, as commands", AT_ONCE)
    assert not any(faults), "\n".join(filter(None, faults))
