"""Draws the figures of README and concept pages with the program itself: `make figures`."""

import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from sisso_sal import Campaign, SISSOClassifier, SISSOClassifierEnsemble, SISSOEnsemble, SISSORegressor
from sisso_sal.acquisition.goal import Goal
from sisso_sal.acquisition.scores import expected_improvement, probability_of_goal
from sisso_sal.oracle.stability.aqueous import aqueous_species
from sisso_sal.oracle.stability.diagram import save_pourbaix_figure, stability_map
from sisso_sal.protocols.distribution import Distribution
from sisso_sal.report.figures import draw as report_figures
from sisso_sal.report.figures.classes import class_map, class_reliability
from sisso_sal.report.figures.saved import save_figure
from sisso_sal.report.figures.search import search_map
from sisso_sal.report.run_view import RunView

HERE = Path(__file__).parent
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.55"  # Okabe and Ito
mpl.rcParams["svg.hashsalt"] = "sisso-sal"  # the same input gives the same file


def save(figure: Figure, name: str) -> None:
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "figures" / name, metadata={"Date": None})


def subspace() -> None:
    """One descriptor leaves half of it over; the best of all pairs finds the law."""
    rng = np.random.default_rng(3)
    X = rng.uniform(1, 3, (60, 4))
    y = X[:, 0] / X[:, 1] + X[:, 2] / X[:, 3] + rng.normal(0, 0.02, 60)
    model = SISSORegressor(rung=1, dim=2, n_sis=12, threads=1).fit(X, y)
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    for axes, found in zip(figure.subplots(1, 2, sharey=True), model.models_, strict=True):
        axes.plot(y, found.predict({f"x{i}": X[:, i] for i in range(4)})[0], "o", color=BLUE, markersize=4)
        axes.plot([y.min(), y.max()], [y.min(), y.max()], color=GREY, linewidth=0.8)
        terms = "  and  ".join(str(term.expression) for term in found.terms)
        axes.set(xlabel="known", title=f"{len(found.terms)} term{'s' * (len(found.terms) > 1)}: {terms}")
        axes.title.set_fontsize(10)
    figure.axes[0].set_ylabel("fitted")
    save(figure, "subspace.svg")


def members() -> None:
    """Formulas agree where there are labels and part where there are none."""
    rng = np.random.default_rng(5)
    x = np.sort(rng.uniform(1, 3, 25))
    y = 4 / x + 0.6 * x + rng.normal(0, 0.12, 25)
    ensemble = SISSOEnsemble(members=25, rung=2, dim=2, n_sis=10, dropout=0.0, correction="none", threads=1)
    ensemble.fit(x[:, None], y)
    grid = np.linspace(0.4, 5, 300)
    told = ensemble.predict_distribution(grid[:, None])
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for values, valid in zip(told.members, told.valid, strict=True):
        axes.plot(grid, np.where(valid, values, np.nan), color=BLUE, alpha=0.25, linewidth=0.9)
    axes.plot([], [], color=BLUE, alpha=0.6, label="members, where they are valid")
    low, high = told.interval95
    axes.fill_between(grid, low, high, color=ORANGE, alpha=0.18, linewidth=0, label="95 % interval")
    axes.plot(grid, told.mean, color=ORANGE, label="mean")
    axes.plot(x, y, "ko", markersize=4, label="labels")
    axes.set(xlabel="primary feature", ylabel="target", ylim=(1.5, 9))
    axes.legend(frameon=False, fontsize=9)
    save(figure, "members.svg")


def acquisition() -> None:
    """The same prediction, scored by expected improvement and by the probability of a hit."""
    x = np.linspace(0, 10, 400)
    mean = 1.0 - 0.75 * np.exp(-((x - 3) ** 2) / 1.2) - 0.35 * np.exp(-((x - 7.5) ** 2) / 2)
    std = 0.05 + 0.08 * np.exp(-((x - 3) ** 2) / 4) + 0.5 * np.exp(-((x - 9) ** 2) / 3)
    best, bound, told = 0.15, 0.5, Distribution(mean, std)
    figure = Figure(figsize=(7, 5), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    above.fill_between(x, mean - 2 * std, mean + 2 * std, color=BLUE, alpha=0.15, linewidth=0)
    above.plot(x, mean, color=BLUE, label="mean and two sigma")
    above.axhline(best, color=ORANGE, linestyle="--", linewidth=1, label="best label so far")
    above.axhline(bound, color=GREEN, linestyle=":", linewidth=1.4, label="bound of the best tenth")
    above.set(ylabel="target, to be small", ylim=(-0.9, 2))
    above.legend(frameon=False, fontsize=9, loc="upper left")
    scores = {
        "expected improvement": (expected_improvement(told, best), ORANGE, "--"),
        "probability of a hit": (probability_of_goal(told, Goal.parse(f"<={bound}")), GREEN, "-"),
    }
    for name, (score, colour, dash) in scores.items():
        below.plot(x, score / score.max(), color=colour, linestyle=dash, label=name)
        below.plot(x[np.argmax(score)], 1, "v", color=colour, markersize=8)
    below.set(xlabel="candidates", ylabel="score, largest is 1")
    below.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(0.4, 1))
    save(figure, "acquisition.svg")


def pourbaix() -> None:
    """Zircon in water, from measured free energies."""
    sys.path.insert(0, str(HERE.parent / "data"))
    from build_oxides import crc_oxides, verified

    solids = {solid.formula: solid.species() for solid in verified(crc_oxides(Counter()), Counter())}
    zircon = solids["ZrSiO4"]
    rivals = [*aqueous_species(zircon.metals), *(solid for solid in solids.values() if solid.metals <= zircon.metals)]
    save_pourbaix_figure(stability_map(zircon, rivals), "ZrSiO4", HERE / "figures" / "zircon.png")


def oxides() -> None:
    """The materials map and the calibration of `make discover`, for the README."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "oxides")
        command = [
            sys.executable,
            "-m",
            "sisso_sal",
            "discover",
            HERE.parent / "data" / "oxides.csv",
            "--out",
            run,
            "--quiet",
        ]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        view = RunView.read(run)
        save_figure(
            report_figures.descriptor_map(view, backend="matplotlib", columns=2), HERE / "figures" / "map.png", dpi=160
        )
        save_figure(
            report_figures.calibration(view, backend="matplotlib"), HERE / "figures" / "calibration.png", dpi=200
        )


def search() -> None:
    """A campaign with the published settings on oxides whose ten most stable ones are hidden, as in notebook 4."""
    target = "dG_pbx (eV/atom)"
    table = pd.read_csv(HERE.parent / "data" / "oxides.csv", index_col="formula").drop(
        columns="dG_pbx_chgnet (eV/atom)"
    )
    known = table[table[target].notna()]
    best = known[target].sort_values().index[:10]
    others = np.random.default_rng(2).permutation([id for id in known.index if id not in best])
    start = known.copy()
    start.loc[~start.index.isin(others[:40]), target] = np.nan
    published = {
        "rung": 2, "dim": 2, "n_sis": 50, "n_residual": 5, "members": 10, "dropout": 0.2, "acquisition": "ei", "batch": 1,
        "adapt": False, "correction": "none", "recalibrate": "none",
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        start.to_csv(folder / "candidates.csv")
        known.to_csv(folder / "truth.csv")
        with Campaign(
            folder / "candidates.csv", oracle=f"lookup:{folder / 'truth.csv'}", out=folder / "run", budget=15, with_report=False,
            **published,
        ) as campaign:  # fmt: skip
            campaign.run()
        figure = search_map(folder / "run", backend="matplotlib", columns=2)
        save_figure(figure, HERE / "figures" / "search-map.png", dpi=160)


def front() -> None:
    """What the page on two targets draws."""
    data = HERE.parent / "data"
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder, "two.csv")
        pd.read_csv(data / "oxides.csv").merge(pd.read_csv(data / "melting.csv"), how="left").to_csv(table, index=False)
        targets = ["--target", "dG_pbx", "--goal", "min", "--target", "T_melt", "--goal", "max"]
        files = ["--plot", HERE / "figures" / "front.png", "--plot-columns", "2", "--force", "--quiet"]
        command = [sys.executable, "-m", "sisso_sal", "pareto", table, *targets, *files]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def classes() -> None:
    """What the page on classes shows: three of them."""
    table = pd.read_csv(HERE.parent / "data" / "oxides.csv").dropna(subset="dG_pbx (eV/atom)")
    label = table.pop("dG_pbx (eV/atom)")
    verdict = np.array(["stable", "nearly stable", "dissolves"])[np.digitize(label, [0.1, 0.5])]
    X = table.drop(columns="dG_pbx_chgnet (eV/atom)").select_dtypes("number")
    model = SISSOClassifier(rung=1, criterion="likelihood").fit(X, verdict)
    ensemble = SISSOClassifierEnsemble(rung=1, members=60, dropout=0.0).fit(X, verdict)
    save_figure(class_map(model, X, verdict, columns=2), HERE / "figures" / "classes.png", dpi=160)
    save_figure(class_map(model, X, verdict, dim=1), HERE / "figures" / "classes-strip.png", dpi=160)
    save_figure(class_reliability(ensemble), HERE / "figures" / "classes-reliability.png", dpi=160)


if __name__ == "__main__":
    for draw in (subspace, members, acquisition, pourbaix, oxides, search, front, classes):
        draw()
