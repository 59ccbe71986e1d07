"""The real command in processes that start in milliseconds: one process imports everything, and forks a child for each call.

As a script it is that process: it reads one request a line (JSON) and answers with one. As a module it has the side that asks.
"""

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Done:
    """How a call ended: its exit code (-9 where it was killed), what it wrote, and the writes that the shim counted."""

    code: int
    out: str
    err: str
    writes: int

    @property
    def error(self):
        """The one line that tells what went wrong."""
        assert "Traceback" not in self.err
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        return lines[0]


class Forks:
    """Calls the command in forked children; a context manager.

    Parameters
    ----------
    folder : path
        For what the children write on their outputs.
    shim : path, optional
        A library to preload, see shim.c.
    site : path, optional
        A folder of installed packages that the command sees beside the others.
    """

    def __init__(self, folder, shim=None, site=None):
        self.folder = Path(folder)
        self._environment = dict(os.environ)
        paths = [str(site), *filter(None, [os.environ.get("PYTHONPATH")])] if site else []
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment
            | ({"LD_PRELOAD": str(shim)} if shim else {})
            | ({"PYTHONPATH": os.pathsep.join(paths)} if site else {}),
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def call(self, *arguments, cwd=None, lines=True, kill_after=None, fault=None, environment=None, first=""):
        """Run the command.

        Parameters
        ----------
        lines : bool
            Learn with the lines of `lines.py` and not with a SISSO ensemble.
        kill_after : float, optional
            Seconds after which the child is killed, if it has not ended.
        fault : tuple, optional
            Folder, number and kind, see shim.c.
        environment : dict, optional
            Variables on top of those that this process has now.
        first : str
            Python that the child runs before the command.
        """
        now = os.environ | (environment or {})
        names = self._environment.keys() | now.keys()
        changes = {name: now.get(name) for name in names if now.get(name) != self._environment.get(name)}
        request = {"arguments": [str(a) for a in arguments], "cwd": str(cwd or self.folder), "lines": lines,
                   "kill_after": kill_after, "fault": None if fault is None else [str(part) for part in fault],
                   "environment": changes, "first": first}  # fmt: skip
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return Done(**json.loads(self._process.stdout.readline()))


@cache
def shared():
    """The one that all tests of this process can use; it ends with the process."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    forks = Forks(folder.name)
    atexit.register(forks.__exit__)
    return forks


def serve(folder):
    """Answer requests until there are no more. What two children had to import, the others find imported."""
    warm()
    settle()
    imported = Counter()
    for line in sys.stdin:
        request = json.loads(line)
        outputs = {name: folder / f"child.{name}" for name in ("out", "err", "writes", "modules")}
        for path in outputs.values():
            path.write_text("")
        child = os.fork()
        if child == 0:
            run(request, outputs)
        if request["kill_after"] is not None:
            end = time.monotonic() + request["kill_after"]
            while time.monotonic() < end and os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
                time.sleep(0.001)
            os.kill(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        out, err, writes, modules = (path.read_text() for path in outputs.values())
        print(json.dumps({"code": code, "out": out, "err": err, "writes": int(writes or 0)}), flush=True)
        imported.update(modules.split())
        if wanted := [name for name in imported if imported[name] == 2 and name not in sys.modules]:
            with redirect_stdout(io.StringIO()):
                for name in wanted:
                    imported[name] += 1
                    with suppress(ImportError):  # of a module that another one made
                        importlib.import_module(name)
            settle()


def is_installed(name):
    """Whether a module is of this package or of one that is installed: another one may be found in some folders only."""
    return name.startswith("sisso_sal.") or "site-packages" in (getattr(sys.modules[name], "__file__", None) or "")


def settle():
    """Nothing that is there now is looked through for garbage: a child that does so copies what it shares with this process."""
    gc.collect()
    gc.freeze()


def warm():
    """Do once what a child would do, on one thread, so that it need not import, compile or build its units again."""
    from lines import MATERIALS

    from sisso_sal.cli import cli

    with tempfile.TemporaryDirectory() as folder:
        table, run = Path(folder, "materials.csv"), Path(folder, "run")
        MATERIALS.assign(phase=["xy"[row % 2] for row in range(len(MATERIALS))]).to_csv(table, index=False)
        small = ["--rung", "1", "--dim", "1", "--n-sis", "5", "--operators", "add,mult,sq", "--threads", "1", "--quiet"]
        with redirect_stdout(io.StringIO()):
            for words in (
                ["discover", table, "--drop", "phase", "--members", "4", "--out", run, *small],
                ["fit", table, "--target", "phase", *small],
                ["status", run],
            ):
                cli.main([str(word) for word in words], standalone_mode=False)
        import sisso_sal.oracle.command
        import sisso_sal.oracle.lookup  # noqa: F401


def run(request, outputs):
    """The child: what a shell would start."""
    code, before = 70, set(sys.modules)
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # not the pipe of requests
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(outputs[name], os.O_WRONLY | os.O_APPEND), number)
        os.chdir(request["cwd"])
        for name, value in request["environment"].items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        sys.argv = ["sisso-sal", *request["arguments"]]
        if request["lines"]:
            learn_with_lines()
        if request["fault"]:
            folder, at, kind = request["fault"]
            ctypes.CDLL(None).shim_arm(folder.encode(), ctypes.c_long(int(at)), kind.encode())
        from sisso_sal.cli import main

        exec(request["first"], {})
        try:
            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
        if request["fault"]:
            outputs["writes"].write_text(str(ctypes.CDLL(None).shim_count()))
        else:
            outputs["modules"].write_text("\n".join(filter(is_installed, sys.modules.keys() - before)))
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def learn_with_lines():
    """A surrogate that fits in a millisecond, no report, and a text for the terminal."""
    from lines import Lines

    import sisso_sal.api.campaign
    import sisso_sal.report.text.results

    sisso_sal.api.campaign._make_surrogate = lambda threads, settings, seed: Lines()
    sisso_sal.api.campaign.write_report_of = None
    sisso_sal.report.text.results.discover_text = lambda summary, width=None: f"iteration {summary['iteration']}"


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    serve(Path(sys.argv[1]))
    os._exit(0)  # there is nothing left to clear away, and compiled code takes long to
