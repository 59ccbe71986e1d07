"""Pictures of classifiers for notebooks and papers, drawn with matplotlib: a map of their classes, and how far to believe them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from sisso_sal.errors import InputError
from sisso_sal.models.class_formulas import FittedClasses
from sisso_sal.models.class_members import ClassMembers
from sisso_sal.models.class_model import ClassModel
from sisso_sal.report.figures.class_map import MappedClasses, map_figure
from sisso_sal.report.figures.class_reliability import reliability_figure
from sisso_sal.report.figures.paper_layout import STYLE, check_columns
from sisso_sal.system.extras import require

if TYPE_CHECKING:
    from sisso_sal.models.class_ensemble import SISSOClassifierEnsemble
    from sisso_sal.models.classifier import SISSOClassifier


def class_map(
    model: SISSOClassifier | SISSOClassifierEnsemble,
    X: Any,
    y: Any,
    *,
    dim: int | None = None,
    member: int | None = None,
    columns: int = 1,
) -> Any:
    """Samples in the plane of two descriptors, or along one, with what the model tells of every place.

    The shading is the probability of the most probable class; the line is where another one becomes it. Samples that are told as
    another class have a dark edge. In a plane, dashed lines are the convex hulls of the classes; along one descriptor, bars are
    their intervals, and the curves are the probabilities.

    Parameters
    ----------
    model : SISSOClassifier or SISSOClassifierEnsemble
        Fitted. Of an ensemble it is one member, whose probabilities are not scaled.
    X : array or DataFrame (n, n_primary), or mapping of str to ndarray (n,)
    y : array (n,)
        Classes of the samples.
    dim : int, optional
        Number of descriptors, 1 or 2; of a classifier, the most that it has by default.
    member : int, optional
        Of an ensemble, from 1; the most typical by default.
    columns : int
        Of a journal, 1 or 2, that the figure is wide: 3.375 or 7.0 inches.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        There is no such model or member, it has more than two descriptors, or a label is no class of the model.

    Examples
    --------
    >>> from sisso_sal import SISSOClassifier
    >>> X = np.random.default_rng(0).uniform(1, 2, (40, 3))
    >>> y = np.where(X[:, 0] > X[:, 1], "metal", "insulator")
    >>> model = SISSOClassifier(rung=1, dim=1, n_sis=5, threads=1).fit(X, y)
    >>> [axes.get_ylabel() for axes in class_map(model, X, y).axes]
    ['probability', 'samples']
    """
    from sisso_sal.models.estimators import columns_of

    of_samples = columns_of(model, X)
    number = {name: code for code, name in enumerate(model.classes_.tolist())}
    named = np.asarray(y).tolist()
    if strange := sorted({str(name) for name in named if name not in number}):
        raise InputError(f"y: needs classes of the model, found '{strange[0]}'")
    codes = np.array([number[name] for name in named], dtype=np.int64)
    return fitted_map(model.fitted_, of_samples, codes, dim=dim, member=member, columns=columns)


def class_reliability(model: SISSOClassifierEnsemble, *, columns: int = 1) -> Any:
    """Claimed probabilities against the shares of samples that came, out of bag, before and after the scaling.

    The grey band is what calibrated probabilities show with so many samples in each bin, with a probability of 95 %. Below is the
    number of samples in each bin. With three and more classes the probabilities of all are counted together, and the band is rough:
    those of one sample depend on each other.

    Parameters
    ----------
    model : SISSOClassifierEnsemble
        Fitted, or read from a file.
    columns : int
        Of a journal, 1 or 2, that the figure is wide: 3.375 or 7.0 inches.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    InputError
        matplotlib is not installed, or columns are neither 1 nor 2.

    Examples
    --------
    >>> from sisso_sal import SISSOClassifierEnsemble
    >>> X = np.random.default_rng(0).uniform(1, 2, (40, 2))
    >>> y = np.where(X[:, 0] > X[:, 1], "metal", "insulator")
    >>> model = SISSOClassifierEnsemble(members=6, rung=1, dim=1, n_sis=3, dropout=0.0, threads=1).fit(X, y)
    >>> class_reliability(model).axes[1].get_xlabel()
    'claimed probability of ‘metal’'
    """
    return fitted_reliability(model.fitted_, columns=columns)


def fitted_map(
    fitted: FittedClasses | ClassMembers,
    of_samples: Mapping[str, np.ndarray],
    codes: np.ndarray,
    *,
    dim: int | None = None,
    member: int | None = None,
    columns: int = 1,
) -> Any:
    """See `class_map`; the samples are given by their primary features and the numbers of their classes."""
    model, said = _chosen(fitted, of_samples, dim, member)
    return _styled(lambda: map_figure(MappedClasses.of(model, of_samples, codes), check_columns(columns), said))


def fitted_reliability(fitted: ClassMembers, *, columns: int = 1) -> Any:
    """See `class_reliability`."""
    told, raw = fitted.calibration, fitted.raw
    return _styled(lambda: reliability_figure(told, raw, fitted.classes, check_columns(columns)))


def _styled(make: Callable[[], Any]) -> Any:
    require("matplotlib", "figures")
    from matplotlib import rc_context

    with rc_context(STYLE):
        return make()


def _chosen(
    fitted: FittedClasses | ClassMembers, of_samples: Mapping[str, np.ndarray], dim: int | None, member: int | None
) -> tuple[ClassModel, str]:
    """The model that is mapped, and what is said of it."""
    if isinstance(fitted, FittedClasses):
        if member is not None:
            raise InputError("member: needs an ensemble, found one model; choose with dim")
        sizes = [one.dimension for one in fitted.models]
        wanted = max((size for size in sizes if size <= 2), default=0) if dim is None else dim
        if wanted not in sizes:
            raise InputError(f"dim: needs one of {', '.join(map(str, sizes))}, found {wanted}")
        return fitted.models[sizes.index(wanted)], ""
    if dim is not None:
        raise InputError("dim: needs one model, found an ensemble; choose with member")
    n = len(fitted.models)
    if member is None:
        number = fitted.typical(of_samples, 1)[0].number
        return fitted.models[number], f"member {number + 1} of {n}, the most typical"
    if not 1 <= member <= n:
        raise InputError(f"member: needs a number from 1 to {n}, found {member}")
    return fitted.models[member - 1], f"member {member} of {n}"
