"""What a model needs of a table: which columns, in which units, and what to say where one is missing."""

from __future__ import annotations

from collections.abc import Collection

from sisso_sal.data.cells import shown
from sisso_sal.data.headers import split_header
from sisso_sal.errors import UnitError
from sisso_sal.features.dimension import conversion_factor
from sisso_sal.models.class_formulas import FittedClasses
from sisso_sal.models.class_members import ClassMembers
from sisso_sal.models.ensemble_model import EnsembleModel
from sisso_sal.models.formulas import FittedModels
from sisso_sal.models.task_ensemble_model import FittedTaskEnsemble
from sisso_sal.models.task_models import FittedTasks
from sisso_sal.oxides.primary_features import PRIMARY_FEATURES

Model = FittedModels | EnsembleModel
ModelOfClasses = FittedClasses | ClassMembers
ModelOfOneTask = Model | ModelOfClasses
AnyModel = ModelOfOneTask | FittedTasks | FittedTaskEnsemble


def is_made_from_formulas(model: AnyModel, names: Collection[str]) -> bool:
    """Whether all features of a model can be made from formulas of oxides, and a table with columns of these names has none."""
    made = {split_header(feature.header)[0] for feature in PRIMARY_FEATURES}
    return made.issuperset(model.primaries) and not {*model.primaries} & {*names}


def lacks_columns(model: AnyModel) -> str:
    """Why features were to be made from formulas that nobody has named."""
    names = ", ".join(shown(name) for name in tuple(model.needed)[:3]) + (", …" if len(model.needed) > 3 else "")
    return f"formulas are needed where the table has none of the model's columns, here {names}"


def why_needed(model: AnyModel, name: str) -> str:
    """What needs a primary feature, in words."""
    if isinstance(model, FittedTaskEnsemble):
        model = model.first
    if not isinstance(model, EnsembleModel | ClassMembers):
        return "the formula uses it"
    members = model.members if isinstance(model, EnsembleModel) else model.models
    n = sum(name in member.primaries() for member in members)
    if n:
        return f"{n} of {len(members)} formulas use it"
    return "no formula uses it, but the correction was learned from it; fit with --correction none for formulas alone"


def factor_of(place: str, name: str, unit: str, needed: str) -> float:
    """What a column in one unit is multiplied by to be in the unit that is needed.

    Raises
    ------
    UnitError
        They are units of different quantities; the message begins with the place.

    Examples
    --------
    >>> factor_of("pool.csv", "EA", "meV", "eV")
    0.001
    """
    try:
        return conversion_factor(unit, needed)
    except UnitError as error:
        raise UnitError(f"{place}: column '{name}': {error}") from error
