"""Settings of a campaign and of calculations, and the layers that they come from."""

PEOPLE = "none"
"""The oracle of a campaign whose labels come from people."""

DONE = "folder"
"""The oracle that has what was computed before the campaign, and computes nothing."""


def is_left_to_people(oracle: str) -> bool:
    """Whether people label what the campaign proposes, because the oracle computes nothing.

    Examples
    --------
    >>> is_left_to_people("none"), is_left_to_people("folder:runs"), is_left_to_people("aims")
    (True, True, False)
    """
    return oracle.partition(":")[0] in (PEOPLE, DONE)


def names_classes(goal: str) -> bool:
    """Whether a goal names classes; labels are then names of classes, and not numbers.

    Examples
    --------
    >>> names_classes("=perovskite"), names_classes("<=0.3")
    (True, False)
    """
    return goal.lstrip().startswith("=")
