"""An interruption is never lost, also where it falls into the import of a module that swallows it."""

import subprocess
import sys

MODULE = """
import os, signal, time
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.2)
except KeyboardInterrupt:
    pass
whole = True
"""
PROGRAM = """
import signal, time
from sisso_sal import cli
signal.signal(signal.SIGINT, cli._interrupt)
try:
    import swallows
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted", swallows.whole)
"""


def test_an_interruption_within_an_import_waits_for_its_end(tmp_path):
    (tmp_path / "swallows.py").write_text(MODULE)
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py"], capture_output=True, text=True, timeout=15, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted True\n", "")


CALLED_FROM_C = """
import ctypes, os, signal, time
from sisso_sal import cli
signal.signal(signal.SIGINT, cli._interrupt)
source = "def _raw_object_cache_notify():\\n    os.kill(os.getpid(), signal.SIGINT)\\n    time.sleep(0.1)\\n    done.append(1)"
done = []
exec(compile(source, "site-packages/llvmlite/binding/executionengine.py", "exec"))
try:
    ctypes.CFUNCTYPE(None)(_raw_object_cache_notify)()
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted", done)
"""


def test_an_interruption_within_a_call_from_llvm_waits_for_its_end():
    done = subprocess.run(
        [sys.executable, "-c", CALLED_FROM_C], capture_output=True, text=True, timeout=15, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted [1]\n", "")
