"""What the tests of campaigns share: a surrogate that can be worked out on paper, and a table of materials."""

import json

import numpy as np
import pandas as pd

from sisso_sal.campaign.learning import Tools
from sisso_sal.campaign.loop import discover
from sisso_sal.data.table import read_table
from sisso_sal.ledger.fold import fold
from sisso_sal.ledger.store import read_ledger
from sisso_sal.protocols import Prediction
from sisso_sal.settings.campaign import load_settings
from sisso_sal.spaces.table import TableSpace

N, N_KNOWN, MEMBERS = 30, 20, 4


class Lines:
    """Least squares lines, each without every fourth row; a label with a typical error has half the weight of one without."""

    def __init__(self, blind=()):
        self.blind = blind

    def fit(self, space, numbers, labels, errors, progress=None):
        self.headers = [feature.header for feature in space.features]
        rows = self._rows(space.rows(numbers).matrix)
        root = np.sqrt(self.weights_of(errors))
        left_out = np.arange(len(labels)) % MEMBERS
        self.weights = np.array(
            [
                np.linalg.lstsq((root[:, None] * rows)[left_out != k], (root * labels)[left_out != k], rcond=None)[0]
                for k in range(MEMBERS)
            ]
        )
        self.out_of_bag = np.einsum("ij,ij->i", rows, self.weights[left_out]), np.full(len(labels), np.nan)
        if progress is not None:
            progress(1, 1)
        return self

    @staticmethod
    def weights_of(errors):
        return 1 / (1 + (errors / np.median(errors[errors > 0])) ** 2) if errors.any() else np.ones(len(errors))

    @staticmethod
    def _rows(features):
        return np.column_stack([np.ones(len(features)), features])

    def predict(self, space, numbers):
        members = self.weights @ self._rows(space.rows(numbers).matrix).T
        valid = np.ones(members.shape, dtype=bool)
        mean, std = members.mean(axis=0), members.std(axis=0, ddof=1)
        for where in self.blind:
            valid[:, where], mean[where], std[where] = False, np.nan, np.nan
        return Prediction(mean, 2.0 * std, std, members, valid)

    def describe(self, space):
        names = sorted(feature.name for feature in space.features)
        return {"n_members": MEMBERS, "calibration": None, "told": [space.target.name, space.target.unit, names]}

    def document(self, space):
        target = [space.target.name, space.target.unit]
        return {"target": target, "headers": self.headers, "weights": self.weights.tolist()}


def materials():
    rng = np.random.default_rng(21)
    frame = pd.DataFrame({"formula": [f"M{i:02d}" for i in range(N)]})
    for header in ("a (eV)", "b", "r (AA)"):
        frame[header] = rng.uniform(0.5, 2.0, N).round(4)
    y = (2 * frame["a (eV)"] - frame["b"] + rng.normal(0, 0.2, N)).round(4)
    frame.insert(1, "gap (eV)", y)
    frame["truth"] = y
    return frame


MATERIALS = materials()
TRUTH = MATERIALS.pop("truth").to_numpy(copy=True)
MATERIALS.loc[MATERIALS.index % 3 == 2, "gap (eV)"] = np.nan
KNOWN = MATERIALS["gap (eV)"].notna().to_numpy()
TRUE = dict(zip(MATERIALS["formula"], TRUTH.tolist(), strict=True))


def table_of(frame, folder, **roles):
    folder.mkdir(exist_ok=True)
    path = folder / "materials.csv"
    frame.to_csv(path, index=False)
    return read_table(path, **{"target": None, "id": None, **roles}, require_target=True)


def space_of(frame, folder, **roles):
    return TableSpace(table_of(frame, folder, **roles))


def settings_of(**changes):
    return load_settings(None, {"dim": 1, "rung": 1, "n_sis": 20, "batch": 3, "seed": 5, "members": MEMBERS, **changes})


def step(run, frame=MATERIALS, roles=None, surrogate=Lines, more=None, **changes):
    """Discover on these materials; `more` is the oracle and what goes to `discover`, the rest are settings."""
    more = dict(more or {})
    tools = Tools(lambda settings, seed: surrogate(), lambda settings: (3, " for dim 1"), more.pop("oracle", None))
    space = space_of(frame, run.parent / "tables", **(roles or {}))
    return discover(space, settings_of(**changes), run, tools, **more)


def contents(folder):
    """Bytes of every file by its path, the lock left out."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != ".lock"}


def outputs(folder):
    """The same without the ledger and its copy, which hold times and the name of the run."""
    return {name: content for name, content in contents(folder).items() if not name.startswith("campaign.")}


def events(run, kind=None):
    return list(read_ledger(run).events(kind))


def state(run):
    return fold(events(run))


def timeless(found):
    """Events without what differs from one run to the next: times, names, and how long a fit took."""
    run_ids = [event["run_id"] for event in found if event["event"] == "created"]
    bare = []
    for event in found:
        text = json.dumps({key: value for key, value in event.items() if key not in {"time", "run_id", "seconds"}})
        for run_id in run_ids:
            text = text.replace(run_id, "RUN")
        bare.append(json.loads(text))
    return bare
