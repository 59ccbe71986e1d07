"""Settings files and model files: whole ones, and what people and programs make of them."""

import json
import math
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import tomli_w
from fuzz_calls import Case
from fuzz_text import MARKS, VALUES, changed, damaged, json_with, raw_marks

from sisso_sal.models.ensemble import SISSOEnsemble
from sisso_sal.models.files import save_model
from sisso_sal.models.regressor import SISSORegressor
from sisso_sal.settings.campaign import CampaignSettings, flat_settings

WHOLE = CampaignSettings().model_dump(mode="json", exclude_none=True)


def settings_file(rng, folder):
    """A settings file for `config show`; each setting that is accepted has the value of the file."""
    given = json.loads(json.dumps(WHOLE))
    for section in [given, *(value for value in given.values() if isinstance(value, dict))]:
        for key in list(section):
            if rng.random() < 0.7:
                del section[key]
    if rng.random() < 0.7:
        given = changed(given, rng, rng.randrange(1, 4), [value for value in (*VALUES, *MARKS) if _is_toml(value)])
    content = raw_marks(tomli_w.dumps(given if isinstance(given, dict) else {"rung": given})).encode()
    if rng.random() < 0.25:
        content = damaged(content, rng)
    (folder / "own.toml").write_bytes(content)
    return Case(("config", "show", "--config", "own.toml", "--json"), check=lambda done: _not_taken(done, content))


def _is_toml(value):
    return value is not None and value != [None]


def _not_taken(done, content):
    """The first setting of the file that is neither refused nor in force."""
    if done.code:
        return ""
    import tomllib

    taken = flat_settings(json.loads(done.out)["settings"])
    for name, value in flat_settings(tomllib.loads(content.decode("utf-8-sig"))).items():
        if isinstance(value, dict) and not value:
            continue
        if name not in taken:
            return f"{name} is ignored without a word"
        if value != taken[name] and str(value) != str(taken[name]) and not _alike(value, taken[name]):
            return f"{name}: {value!r} became {taken[name]!r}"
    return ""


def _alike(given, taken):
    """Whether a value was only read as what it says: "3" as a number, "yes" as a truth value."""
    if isinstance(taken, bool):
        return str(given).lower() in (
            {"true", "1", "1.0", "yes", "on", "y", "t"} if taken else {"false", "0", "0.0", "no", "off", "n", "f"}
        )
    if isinstance(taken, int | float):
        try:
            return float(given) == float(taken)
        except (TypeError, ValueError, OverflowError):
            return False
    return False


@cache
def _models():
    """A table, and documents of models fitted to it."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"name": [f"M{i}" for i in range(16)]})
    for header in ("E (eV)", "r (AA)", "q"):
        frame[header] = rng.uniform(0.5, 2.0, 16).round(3)
    y = (3 * frame["E (eV)"] / frame["q"] + rng.normal(0, 0.05, 16)).round(3)
    features = frame.drop(columns="name")
    small = {"rung": 1, "n_sis": 5, "operators": ("add", "mult", "div"), "threads": 1}
    models = [
        SISSORegressor(dim=2, **small),
        SISSOEnsemble(dim=1, members=4, correction="none", random_state=1, **small),
        SISSOEnsemble(dim=2, members=4, correction="both", random_state=2, adapt=False, **small),
    ]
    documents = []
    with TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        for model in models:
            save_model(path, model.fit(features, y), "gap", "eV")
            documents.append(path.read_bytes())
    return frame.to_csv(index=False), tuple(documents)


def model_file(rng, folder):
    """A model file for `predict`: every number that comes out is finite or marked as invalid."""
    table, documents = _models()
    content = rng.choice(documents)
    if rng.random() < 0.75:
        content = json_with(changed(json.loads(content), rng, rng.choice((1, 1, 1, 2, 5)))).encode()
    else:
        content = damaged(content, rng)
    (folder / "new.csv").write_text(table)
    (folder / "model.json").write_bytes(content)
    return Case(("predict", "model.json", "new.csv", "--json"), check=_unmarked)


def _unmarked(done):
    if done.code:
        return "" if "model.json" in done.err or "new.csv" in done.err else f"the error names no file: {done.err}"
    for row in json.loads(done.out)["predictions"]:
        if row["mean"] is not None and not math.isfinite(row["mean"]):
            return f"a mean of {row['mean']}"
    return ""
