"""Results of one fit in the files of other SISSO programs, for people whose scripts read those.

SISSO 3.5: ``SISSO.out``, ``SIS_subspaces`` and ``Models``, of the largest dimension as there. SISSO++: ``feature_space`` and
``models``, of all dimensions. Order, columns and formats are those of the programs, so that files can be compared one by one
(R. Ouyang et al., Phys. Rev. Mater. 2, 083802 (2018); T. A. R. Purcell et al., J. Open Source Softw. 7, 3960 (2022)).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np

from sisso_sal.features.dimension import parse_unit
from sisso_sal.features.expression import Expression
from sisso_sal.features.operators import OPERATORS
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.inputs import TrainingTable
from sisso_sal.models.linear import SISSOModel

FORTRAN = {
    "add": "({}+{})", "sub": "({}-{})", "mult": "({}*{})", "div": "({}/{})", "abs_diff": "abs({}-{})", "abs": "abs({})",
    "inv": "({})^-1", "sq": "({})^2", "cb": "({})^3", "six_pow": "({})^6", "sqrt": "sqrt({})", "cbrt": "cbrt({})",
    "exp": "exp({})", "neg_exp": "exp(-{})", "log": "log({})", "sin": "sin({})", "cos": "cos({})",
}  # fmt: skip
"""How SISSO writes an operator."""

CPP = {
    "add": "({} + {})", "sub": "({} - {})", "mult": "({} * {})", "div": "({} / {})", "abs_diff": "(|{} - {}|)", "abs": "(|{}|)",
    "inv": "(1.0 / {})", "sq": "({}^2)", "cb": "({}^3)", "six_pow": "({}^6)", "sqrt": "sqrt({})", "cbrt": "cbrt({})",
    "exp": "exp({})", "neg_exp": "exp(-1.0*{})", "log": "ln({})", "sin": "sin({})", "cos": "cos({})",
}  # fmt: skip
"""How SISSO++ writes it."""

POSTFIX = {name: name for name in CPP} | {"abs_diff": "abd", "six_pow": "sp", "neg_exp": "nexp"}
"""Its name in the postfix notation of SISSO++."""

LINE = 80 * "="


@dataclass(frozen=True)
class FitOfOne:
    """What is written.

    Attributes
    ----------
    models : FittedModels
        With the subspaces of the search.
    table : TrainingTable
        Columns in the order in which the user has them.
    ids : sequence of str
        Of the rows.
    settings : mapping
        Parameters of a `SISSORegressor`.
    seconds : float
    """

    models: FittedModels
    table: TrainingTable
    ids: Sequence[str]
    settings: Mapping[str, Any]
    seconds: float

    @property
    def features(self) -> list[Expression]:
        """All screened features, dimension by dimension; their numbers are places in this list."""
        return [feature for part in self.models.subspaces for feature, _ in part]

    def numbered(self, model: SISSOModel) -> list[tuple[int, float, Expression]]:
        """Number, coefficient and formula of each term, by number."""
        numbers = {feature.key: number for number, feature in enumerate(self.features)}
        return sorted(
            ((numbers[term.expression.key], term.coefficient, term.expression) for term in model.terms),
            key=lambda item: item[0],
        )


def sisso_files(fit: FitOfOne) -> dict[str, str]:
    """The files by their path within a folder.

    A product of powers has those of SISSO++ alone, as SISSO has none.

    Parameters
    ----------
    fit : FitOfOne
    """
    return ({} if fit.models.model.is_product else _of_fortran(fit)) | _of_cpp(fit)


def written(feature: Expression, how: Mapping[str, str], name: Callable[[str], str] = lambda name: name) -> str:
    """A formula in the notation of another program.

    Examples
    --------
    >>> a, b = Expression.primary("a"), Expression.primary("b")
    >>> feature = Expression.apply("six_pow", Expression.apply("abs_diff", a, b))
    >>> written(feature, FORTRAN), written(feature, CPP)
    ('(abs(a-b))^6', '((|a - b|)^6)')
    """
    if feature.is_primary:
        return name(feature.name)
    return how[feature.name].format(*(written(operand, how, name) for operand in feature.operands))


def postfix(feature: Expression, numbers: Mapping[str, int]) -> str:
    """A formula as SISSO++ reads it again; `numbers` are those of the primary features.

    Examples
    --------
    >>> a, b = Expression.primary("a"), Expression.primary("b")
    >>> postfix(Expression.apply("div", Expression.apply("sq", b), a), {"a": 0, "b": 1})
    '1|sq|0|div'
    """
    if feature.is_primary:
        return str(numbers[feature.name])
    return "|".join([*(postfix(operand, numbers) for operand in feature.operands), POSTFIX[feature.name]])


def fortran_number(value: float) -> str:
    """A number in Fortran's format e20.10.

    Examples
    --------
    >>> fortran_number(-12.5), fortran_number(0.0)
    ('   -0.1250000000E+02', '    0.0000000000E+00')
    """
    if value == 0 or not math.isfinite(value):
        return f"{0.0:.10f}E+00".rjust(20) if value == 0 else str(value).rjust(20)
    mantissa, _, power = f"{abs(value):.9e}".partition("e")
    sign = "-" if value < 0 else ""
    return f"{sign}0.{mantissa.replace('.', '')}E{int(power) + 1:+03d}".rjust(20)


def bare_name(text: str) -> str:
    """A name without blanks."""
    return re.sub(r"\s+", "_", text)


def _values(fit: FitOfOne, features: Sequence[Expression]) -> np.ndarray:
    """ndarray (n_features, n_samples)."""
    columns = fit.table.columns()
    return np.array([feature.evaluate(columns) for feature in features])


# SISSO 3.5 ------------------------------------------------------------------------------------------------------------


def _of_fortran(fit: FitOfOne) -> dict[str, str]:
    parts, best = fit.models.subspaces, fit.models.alternatives[-1]
    scores = [score for part in parts for _, score in part]
    names = [selected_text(feature) for feature in fit.features]
    lines = [f"{name}     SIS_score ={score:12.4f}" for name, score in zip(names, scores, strict=True)]
    rows = np.vstack([fit.table.y, _values(fit, fit.features)]).T
    dim = fit.models.model.dimension
    ranks, coefficients = (
        [f"{'Rank':>12}{'RMSE':>12}{'MaxAE':>12}{'Feature_ID':>12}"],
        ["Model_ID, [(c_i,i=0,n)_j,j=1,ntask]"],
    )
    for rank, model in enumerate(best, 1):
        terms = fit.numbered(model)
        ids = "".join(f"{number + 1:8d}" for number, _, _ in terms)
        ranks.append(f"{rank:12d}{model.rmse:12.6f}{model.max_abs_error:12.6f}  ({ids})")
        numbers = [model.intercept, *(size for _, size, _ in terms)]
        coefficients.append(f"{rank:12d}" + "".join(map(fortran_number, numbers)))
    top = f"Models/top{len(best):04d}_D{dim:03d}"
    texts = {
        "SISSO.out": _sisso_out(fit),
        "SIS_subspaces/Uspace.expressions": lines,
        "SIS_subspaces/Uspace.dat": ["".join(map(fortran_number, row)) for row in rows.tolist()],
        top: ranks,
        f"{top}_coeff": coefficients,
        f"Models/data_top1/desc_D{dim:03d}.dat": _best_rows(fit),
    }
    return {name: "\n".join(text) + "\n" for name, text in texts.items()}


def selected_text(feature: Expression) -> str:
    """A feature as SISSO lists it: a primary feature stands in parentheses."""
    text = written(feature, FORTRAN, bare_name)
    return f"({text})" if feature.is_primary else text


def _best_rows(fit: FitOfOne) -> list[str]:
    """The best model: labels, predictions and descriptors of all rows."""
    terms = fit.numbered(fit.models.model)
    values = _values(fit, [feature for *_, feature in terms])
    said, _ = fit.models.model.predict(fit.table.columns())
    head = f"{'Index':>10}{'y_true':>20}{'y_pred':>20}" + "".join(
        f"{'descriptor_':>19}{k}" for k in range(1, len(terms) + 1)
    )
    rows = np.vstack([fit.table.y, said, values]).T.tolist()
    return [head, *(f"{number:10d}" + "".join(map(fortran_number, row)) for number, row in enumerate(rows, 1))]


class Search(NamedTuple):
    """What ``SISSO.out`` says of a search.

    - settings: parameters of the estimator
    - n_primary: number of primary features
    - subspaces: the screened features of each dimension
    - n_features: those of each rung
    - dimension: the largest one
    - n_models: how many are kept of it
    - seconds: how long it took
    """

    settings: Mapping[str, Any]
    n_primary: int
    subspaces: Sequence[Sequence[Any]]
    n_features: Mapping[str, int]
    dimension: int
    n_models: int
    seconds: float


class OutLines(NamedTuple):
    """What ``SISSO.out`` says of one kind of search alone.

    - property: lines on the labels
    - input: on tasks, classes and samples
    - selection: on how models were chosen
    - best: on the best model
    """

    property: Sequence[str]
    input: Sequence[str]
    selection: Sequence[str]
    best: Sequence[str]


def sisso_out(search: Search, own: OutLines) -> list[str]:
    """The lines of ``SISSO.out``, in the order and formats of SISSO 3.5."""
    stars, settings, dimension = 64 * "*", search.settings, search.dimension
    rung = settings["rung"]
    complexity = settings["max_complexity"] if settings["max_complexity"] is not None else 2**rung - 1
    sizes = settings["n_sis"] if isinstance(settings["n_sis"], tuple | list) else [settings["n_sis"]] * dimension
    lines = [
        stars,
        "  Sure Independence Screening and Sparsifying Operator (SISSO)  ",
        f"  Written by sisso-sal {version('sisso-sal')}, as SISSO 3.5 does",
        *(stars, "", "Read in data from train.dat", *own.property),
        *("Read in data from SISSO.in", *own.input),
        f"Number of scalar features: {search.n_primary:8d}",
        f"Tier of the feature space (max depth of expression tree): {rung:8d}",
        f"Maximal feature complexity (number of operators in a feature): {complexity:8d}",
        f"Size of the SIS-selected (single) subspace : {''.join(f'{size:6d}' for size in sizes)}",
        f"Operators for feature construction: {' '.join(_symbols(settings['operators']))}",
        *("Method for sparse regression:  L0", *own.selection),
        f"Number of the top-ranked models to output: {search.n_models:8d}",
        80 * "-",
    ]
    n_chosen = 0
    for d, part in enumerate(search.subspaces, 1):
        n_chosen += len(part)
        lines += ["", f"Dimension: {d:3d}", "-------------------", "Feature Construction (FC) starts ..."]
        lines += [
            f"Total number of features in the space Phi{int(rung):02d}:{number:15d}"
            for rung, number in search.n_features.items()
        ]
        lines += [f"Size of the SIS-selected subspace from Phi{rung:02d}: {len(part):10d}", ""]
        lines += ["Descriptor Identification (DI) starts ..."]
        lines += [f"Total number of SIS-selected features for this DI: {n_chosen:10d}"]
    return [*lines, *own.best, f"Total time (second): {search.seconds:15.2f}", "Have a nice day !    ", ""]


def _sisso_out(fit: FitOfOne) -> list[str]:
    models, settings = fit.models, fit.settings
    search = Search(
        settings, len(fit.table.names), models.subspaces, models.counts.n_features, models.model.dimension,
        len(models.alternatives[-1]), fit.seconds,
    )  # fmt: skip
    own = OutLines(
        [f"Standard Deviation (sqrt[sum(y-y_mean)^2/n]) of the target property:{fit.table.y.std():10.5f}"],
        [
            *("Property type:     1", "Number of tasks:        1"),
            f"Descriptor dimension: {models.model.dimension:8d}",
            f"Number of samples for the task(s): {len(fit.table.y):6d}",
        ],
        selection_lines(settings),
        _best_of_all(fit),
    )
    return sisso_out(search, own)


def selection_lines(settings: Mapping[str, Any]) -> list[str]:
    """How the models of numbers were chosen."""
    metric = "MaxAE" if settings["criterion"] == "max_abs_error" else "RMSE"
    return [
        f"Fitting intercept: {'T' if settings['fit_intercept'] else 'F':>6}",
        f"Metric for model selection: {metric}",
    ]


def _symbols(operators: Any) -> list[str]:
    """The operators of each rung, or of all."""
    from sisso_sal.features.operators import DEFAULT_OPERATORS

    named = DEFAULT_OPERATORS if operators is None else operators
    rungs = [named] if all(isinstance(name, str) for name in named) else named
    return ["".join(f"({OPERATORS[name].sisso_symbol or name})" for name in names) for names in rungs]


def _best_of_all(fit: FitOfOne) -> list[str]:
    model, terms = fit.models.model, fit.numbered(fit.models.model)
    listed = [
        f"     d{place:03d} = {selected_text(feature)}    feature_ID:{number + 1:06d}"
        for place, (number, _, feature) in enumerate(terms, 1)
    ]
    return [
        *(" ", f"{model.dimension:3d}D descriptor/model(y=sum(ci*di)+c0) : ", LINE, *listed, " "),
        "        coeff.(ci): " + "".join(fortran_number(size) for _, size, _ in terms),
        f"{'c0: ':>20}{fortran_number(model.intercept)}",
        f"{'RMSE and MaxAE: ':>20}{fortran_number(model.rmse)}{fortran_number(model.max_abs_error)}",
        LINE,
    ]


# SISSO++ --------------------------------------------------------------------------------------------------------------


def _of_cpp(fit: FitOfOne) -> dict[str, str]:
    order = {name: number for number, name in enumerate(fit.table.names)}
    summary = [f"# {'FEAT_ID':<12}{'Score':<24}Feature Expression"]
    selected = [f"# {'FEAT_ID':<12}Feature Postfix Expression (RPN)"]
    number = 0
    for part in fit.models.subspaces:
        for feature, score in part:
            summary.append(f"{number:<14}{score:<24.18g}{written(feature, CPP, bare_name)}")
            selected.append(f"{number:<14}{postfix(feature, order)}")
            number += 1
        for lines in (summary, selected):
            lines.append("#" + 71 * "-")
    texts = {"feature_space/SIS_summary.txt": summary, "feature_space/selected_features.txt": selected}
    for models in fit.models.alternatives:
        for rank, model in enumerate(models):
            texts[f"models/train_dim_{model.dimension}_model_{rank}.dat"] = _cpp_model(fit, model, order)
    return {name: "\n".join(text) + "\n" for name, text in texts.items()}


def _cpp_model(fit: FitOfOne, model: SISSOModel, order: Mapping[str, int]) -> list[str]:
    terms, n = fit.numbered(model), len(fit.table.y)
    names = [written(feature, CPP, bare_name) for *_, feature in terms]
    if model.is_product:
        formula = "exp(c0)" + "".join(f" * ({name})^a{k}" for k, name in enumerate(names))
    else:
        formula = "c0" + "".join(f" + a{k} * {name}" for k, name in enumerate(names))
    head = "".join(f"{f'a{k}':<24}" for k in range(len(terms))) + "c0"
    numbers = "".join(f"{size: .15e}, " for size in [*(size for _, size, _ in terms), model.intercept]).rstrip()
    unit = str(parse_unit(fit.table.target_unit)) if fit.table.target_unit else "Unitless"
    lines = [
        f"# {formula}",
        f"# Property Label: ${bare_name(fit.table.target)}$; Unit of the Property: {unit}",
        f"# RMSE: {model.rmse:.15g}; Max AE: {model.max_abs_error:.15g}",
        *("# Coefficients", f"# Task   {head}", f"# all , {numbers}"),
        "# Feature Rung, Units, and Expressions",
    ]
    for k, ((_, _, feature), name) in enumerate(zip(terms, names, strict=True)):
        own = feature.dimension
        text = "Unitless" if own is None or own.is_none else str(own)
        latex, used = feature.to_latex(), ",".join(map(bare_name, feature.primaries()))
        place = f"{k};  {feature.rung}; {text + ';':<50} {postfix(feature, order)}"
        lines.append(f"# {place}; {name}; ${latex}$; {feature}; {used}")
    said, _ = model.predict(fit.table.columns())
    rows = np.vstack([fit.table.y, said, _values(fit, [feature for *_, feature in terms])]).T.tolist()
    width = max(12, *(len(bare_name(one)) for one in fit.ids))
    columns = ["Property Value", "Property Value (EST)", *(f"Feature {k} Value" for k in range(len(terms)))]
    return [
        *lines,
        *("# Number of Samples Per Task", "# Task, n_mats_train", f"# all , {n}", ""),
        f"# {'Sample ID':<{width - 2}}" + "".join(f", {name:<22}" for name in columns).rstrip(),
        *(
            f"{bare_name(one):<{width}}" + "".join(f", {v: .15e}" for v in row)
            for one, row in zip(fit.ids, rows, strict=True)
        ),
    ]
