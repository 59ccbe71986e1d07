"""How SISSO.in parts the rows of train.dat: into tasks, or into classes, one after the other.

R. Ouyang et al., J. Phys. Mater. 2, 024002 (2019) for tasks; Phys. Rev. Mater. 2, 083802 (2018) for classes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from sisso_sal.data.cells import shown
from sisso_sal.data.foreign.list_directed import first, integer, items, logical, real
from sisso_sal.data.foreign.translation import Translation, brief
from sisso_sal.errors import InputError

TASK, CLASS = "task", "class"
"""Headers of the columns that the table gets."""

MOST = 1000
"""Most tasks, and most classes."""

_GROUP = re.compile(r"\(([^()]*)\)?")
_WEIGHTINGS = {1: "tasks", 2: "samples"}


class SampleParts(NamedTuple):
    """The rows of train.dat that are taken.

    - sizes: rows of each task, or of each class; empty for all rows of one task
    - begin: number of the first row
    - task: number of the one task that was chosen, from 1; None for all
    - is_classes: whether they are classes
    - said: the keyword that gives the number of tasks, and its value
    """

    sizes: tuple[int, ...] = ()
    begin: int = 0
    task: int | None = None
    is_classes: bool = False
    said: str = ""

    @property
    def n_samples(self) -> int | None:
        """Number of rows; None for all."""
        return sum(self.sizes) if self.sizes else None

    @property
    def are_tasks(self) -> bool:
        return len(self.sizes) > 1 and not self.is_classes

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tasks or classes, of one length, so that their order is that of the input.

        Examples
        --------
        >>> SampleParts((3, 4)).names, SampleParts((3, 4), is_classes=True).names
        (('1', '2'), ('class1', 'class2'))
        """
        width = len(str(len(self.sizes)))
        head = CLASS if self.is_classes else ""
        return tuple(f"{head}{number:0{width}d}" for number in range(1, len(self.sizes) + 1))

    @property
    def of_rows(self) -> list[str]:
        """The name for each row."""
        return [name for name, size in zip(self.names, self.sizes, strict=True) for _ in range(size)]

    @property
    def smallest(self) -> str:
        """Words for the task with the fewest rows; "" where there is one."""
        if not self.are_tasks:
            return ""
        return f" of task {self.names[self.sizes.index(min(self.sizes))]}"


def parts_of(said: Translation, only: str | None, *, is_classes: bool) -> SampleParts:
    """How the rows of train.dat are parted by `ntask` and `nsample`.

    Parameters
    ----------
    said : Translation
    only : str or None
        Number of the one task to take, from 1.
    is_classes : bool

    Raises
    ------
    InputError
        A number is wrong, or there are several tasks of classes and `only` is None.
    """
    name, text = said.take("ntask", "nprop")
    item = None if text is None else first(text)
    n_tasks = 1 if item is None else said.parsed(name, integer, item)
    if not 1 <= n_tasks <= MOST:
        raise InputError(f"{said.path}: {name}: needs 1 or more, at most {MOST}, found {n_tasks}")
    if n_tasks > 1 and only is not None:
        said.mapped.append((f"{name}={n_tasks}", f"only task {only} is used"))
    elif item is not None and n_tasks == 1:
        said.mapped.append((f"{name}=1", "one task"))
    sizes = _sizes(said, n_tasks, is_classes=is_classes)
    if n_tasks == 1 and only is None:
        return SampleParts(sizes[0] if sizes else (), is_classes=is_classes)
    if len(sizes) < n_tasks:
        raise InputError(f"{said.path}: nsample: needs a size for each of {n_tasks} tasks, found {len(sizes)}")
    if only is None and is_classes:
        why = "classes of several tasks have no counterpart; choose one"
        raise InputError(f"{said.path}: {name}={n_tasks}: {why} with --only-task 1 to {n_tasks}")
    if only is None:
        return SampleParts(tuple(size for (size,) in sizes), said=f"{name}={n_tasks}")
    chosen = said.parsed("only-task", int, only)
    if not 1 <= chosen <= n_tasks:
        raise InputError(f"{said.path}: only-task: needs a number from 1 to {n_tasks}, found {only}")
    return SampleParts(sizes[chosen - 1], sum(map(sum, sizes[: chosen - 1])), chosen, is_classes)


def _sizes(said: Translation, n_tasks: int, *, is_classes: bool) -> list[tuple[int, ...]]:
    """Rows of each class of each task; a task of numbers has one size."""
    _, text = said.take("nsample")
    if is_classes:
        groups = [items(part, MOST) for part in _GROUP.findall(text or "")][:n_tasks]
        if not groups or any(len(group) < 2 for group in groups):
            found = "none" if text is None else shown(text)
            raise InputError(
                f"{said.path}: nsample: needs the size of each of at least two classes, such as (40,60), found {found}"
            )
    else:
        groups = [[item] for item in (items(text, n_tasks) if text else []) if item is not None]
    sizes = [tuple(said.parsed("nsample", integer, item) for item in group) for group in groups]
    if any(size < 1 for group in sizes for size in group):
        raise InputError(f"{said.path}: nsample: needs 1 or more, found {min(map(min, sizes))}")
    if sizes:
        listed = [",".join(map(str, group)) for group in sizes]
        told = brief(",".join(f"({part})" if is_classes else part for part in listed))
        parted = "classes, one after the other" if is_classes else "train.dat"
        said.mapped.append((f"nsample={told}", f"rows of {parted}"))
    return sizes


def set_tasks(said: Translation, parts: SampleParts, column: str) -> None:
    """The options of a fit of several tasks; `column` names the task of each row."""
    keys = [(name, first(text or "")) for name, text in (said.take("scmt"), said.take("task_weighting"))]
    (scmt, sign), (weighting, number) = keys
    has_sign = sign is not None and said.parsed(scmt, logical, sign)
    kind = 1 if number is None else said.parsed(weighting, integer, number)
    if kind not in _WEIGHTINGS:
        raise InputError(f"{said.path}: {weighting}: needs 1 or 2, found {kind}")
    if not parts.are_tasks:
        why = "used for regression alone" if parts.is_classes else "one task: no meaning here"
        said.mapped += [(f"{name}={value}", why) for name, value in keys if value is not None]
        return
    said.option("task", column, parts.said)
    told = f"{weighting} is not given" if number is None else f"{weighting}={kind}"
    said.option("task_weighting", _WEIGHTINGS[kind], told)
    if has_sign:
        said.option("same_sign", True, f"{scmt}=.true.")
    elif sign is not None:
        said.mapped.append((f"{scmt}=.false.", "signs are free"))


def set_classes(said: Translation, parts: SampleParts) -> None:
    """The options of a fit of classes: `isconvex` and `bwidth`."""
    said.option("criterion", "overlap", "SISSO counts samples in the overlap of domains")
    name, text = said.take("isconvex")
    groups = _GROUP.findall(text or "")
    mine = groups[min(len(groups), parts.task or 1) - 1] if groups else ""
    flags = []
    for item in items(mine, len(parts.sizes)):
        if item is None or not item.strip("."):  # the templates of SISSO write (1,1,...)
            break
        flags.append(said.parsed(name, integer, item))
    if any(flag not in (0, 1) for flag in flags):
        raise InputError(f"{said.path}: {name}: needs 1 (convex) or 0 for each class, found {shown(text)}")
    flags += [1] * (len(parts.sizes) - len(flags))
    convex = [one for one, flag in zip(parts.names, flags, strict=True) if flag]
    told = f"{name}=({','.join(map(str, flags))})"
    if not convex:
        raise InputError(f"{said.path}: {name}: needs at least one class with a convex domain, found {shown(text)}")
    if len(convex) < len(flags):
        said.option("convex", tuple(convex), told)
    elif text is not None:
        said.mapped.append((told, "as always: every class has a convex domain"))
    name, text = said.take("bwidth", "width")
    if text is not None and (item := first(text)) is not None:
        width = said.parsed(name, real, item)
        if not 0 <= width < float("inf"):
            raise InputError(f"{said.path}: {name}: needs a number of at least 0, found {item}")
        said.option("width", width, f"{name}={item}")


def free_name(name: str, taken: list[str]) -> str:
    """A header that no other column has.

    Examples
    --------
    >>> free_name("task", ["a", "b"]), free_name("task", ["task", "b"])
    ('task', 'task_')
    """
    while name in taken:
        name += "_"
    return name
