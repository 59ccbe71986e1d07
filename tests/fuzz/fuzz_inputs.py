"""Inputs of SISSO as people write them, for `import-sisso --dry-run --json`: each keyword is taken, or named."""

import re

from fuzz_calls import Case
from fuzz_text import TEXTS, damaged

KEYS = {
    "ptype": ("1", "1 # reg", "2", "'quanti'", "x"),
    "ntask": ("1", "2", "1,"),
    "task_weighting": ("1", "2", "3"),
    "scmt": (".false.", ".true.", "F"),
    "desc_dim": ("1", "2", "3", "2 ! two", "2,", "0", "99", "two"),
    "nsample": ("8", "6", "12", "8,", "4,4", "(4,4)", "(3,5),(1,2)", "(8)", "x"),
    "restart": ("0", "1"),
    "nsf": ("3", "2", "5", "0"),
    "ops": ("'(+)(-)(*)(/)'", "'(+)(*)'", "(+)(-)", "'(exp)(log)(^2)(sqrt)'", "'(foo)'", "''"),
    "fcomplexity": ("0", "1", "2", "3", "7", "15", "-1"),
    "funit": ("(1:2)", "(1:2)(3:3)", "(1:3)(2:3)", "(9:12)", "()", "x"),
    "fmax_min": ("1e-3", "1d-3", "x"),
    "fmax_max": ("1e5", "1D+5", "0"),
    "nf_sis": ("5", "20", "5,5", "100000000", "50000*2", "0", "-1"),
    "method_so": ("'L0'", "L0", "'L1L0'"),
    "fit_intercept": (".true.", ".false.", "T", "f", ".true. # words", "true", "maybe"),
    "metric": ("'RMSE'", "'MaxAE'", "LS_RMSE"),
    "nmodels": ("100", "1"),
    "L1_max_iter": ("1000000",),
    "L1_tole": ("1e-6",),
    "isconvex": ("(1,1)", "(1,0)", "(1,1,...)", "(0,0)", "1", "(x)"),
    "bwidth": ("0.001", "1d-2", "-1", "x"),
    "fstore": ("1",),
    "nvf": ("0", "2"),
    "vfsize": ("0",),
    "unknown_key": ("7",),
    "rung": ("1", "2"),
    "maxcomplexity": ("3",),
    "opset": ("'(+)(-)'",),
    "subs_sis": ("5",),
}


def sisso_input(rng, folder):
    """A folder with SISSO.in and train.dat; sometimes sisso.json."""
    keys = {"ops": KEYS["ops"][0], "nf_sis": "5", "fcomplexity": "1", "desc_dim": "1"} if rng.random() < 0.8 else {}
    for key in rng.sample(list(KEYS), rng.randrange(1, 10)):
        keys[key] = rng.choice(KEYS[key][:1] * 3 + KEYS[key])
    lines = [_line(rng, key, value) for key, value in keys.items()]
    rng.shuffle(lines)
    n, k = rng.choice((8, 8, 6, 3, 1)), rng.choice((3, 3, 3, 2, 5))
    rows = [["sample", "y", *(f"f{i}" for i in range(k))]]
    rows += [[f"M{row}", *(f"{rng.uniform(0.5, 2):.4f}" for _ in range(k + 1))] for row in range(n)]
    if rng.random() < 0.15:
        row = rng.randrange(len(rows))
        rows[row][rng.randrange(k + 2)] = rng.choice((*TEXTS, "1.5D-1", "NaN"))
    data = "\n".join(rng.choice((" ", "  ", "\t", ", ", ",")).join(row) for row in rows) + "\n"
    files = {"SISSO.in": "\n".join(lines) + "\n", "train.dat": data}
    if rng.random() < 0.05:
        files["feature_units"] = "\n".join(rng.choice(("1 0", "0 1", "1/2 0", "x")) for _ in range(k))
    for name, text in files.items():
        content = text.encode()
        if rng.random() < 0.1:
            content = damaged(content, rng)
            if (
                name == "SISSO.in"
            ):  # damage may have cut or changed a keyword; then the whole line is no keyword, or another
                text = content.decode("utf-8", "replace").lower().partition("\x00")[0]
                keys = {key: value for key, value in keys.items() if re.search(rf"^\s*{key.lower()}\s*=", text, re.M)}
        (folder / name).write_bytes(content)
    return Case(("import-sisso", ".", "--dry-run"), check=lambda done: _unnamed(done, keys))


def _line(rng, key, value):
    key = rng.choice((key, key, key.upper(), f" {key}"))
    equals = rng.choice(("=", " = ", "= "))
    return f"{key}{equals}{value}{rng.choice(('', '', ' ! a comment', '  !', ' ', chr(9)))}"


def _unnamed(done, keys):
    if done.code:
        return (
            ""
            if any(name in done.err for name in ("SISSO.in", "train.dat", "feature_units"))
            else "the error names no file"
        )
    text = (done.out + done.err).lower()
    missing = [key for key in keys if key.lower() not in text]
    return f"keywords without a word: {', '.join(missing)}" if missing and "sisso.in" not in missing else ""
