"""Size of a report, and how soon a browser shows it, for a table of many candidates.

    python benchmarks/report.py [--candidates 100000]

Needs Chromium and chromedriver. The table is drawn: 200 labels of a law with noise, four primary features; rung 1, ten members.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-3d-apis", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1200,900",
)  # fmt: skip


def write_table(path: Path, n: int, n_labels: int = 200) -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": [f"M{i:06d}" for i in range(n + n_labels)]})
    for header in ("r (AA)", "e (eV)", "i (eV)", "z"):
        table[header] = rng.uniform(1, 2, len(table))
    truth = table["e (eV)"] * table["z"] - table["i (eV)"] / table["z"] + 0.1 * rng.normal(size=len(table))
    table["gap (eV)"] = truth.where(table.index < n_labels)
    table.to_csv(path, index=False)


def in_browser(page: Path, profile: Path) -> tuple[float, float]:
    """Seconds to the first paint, and until every figure is drawn."""
    from selenium import webdriver
    from selenium.webdriver.support.ui import WebDriverWait

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        start = time.perf_counter()
        driver.get(page.as_uri())
        WebDriverWait(driver, 120).until(lambda d: d.execute_script("return document.documentElement.dataset.drawn"))
        drawn = time.perf_counter() - start
        paints = driver.execute_script("return performance.getEntriesByType('paint').map(p => [p.name, p.startTime])")
        return dict(paints)["first-contentful-paint"] / 1000, drawn
    finally:
        driver.quit()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--candidates", type=int, default=100_000)
    n = parser.parse_args().candidates
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_table(folder / "table.csv", n)
        command = [
            sys.executable,
            "-m",
            "sisso_sal",
            "discover",
            "table.csv",
            "--rung",
            "1",
            "--members",
            "10",
            "--out",
            "run",
        ]
        subprocess.run([*command, "--quiet"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        page = folder / "run" / "report.html"
        paint, drawn = in_browser(page, folder / "profile")
        print(f"{n} candidates: {page.stat().st_size / 1e6:.1f} MB, first paint {paint:.2f} s, all drawn {drawn:.1f} s")


if __name__ == "__main__":
    main()
