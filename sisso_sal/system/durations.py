"""A length of time in words."""


def duration(seconds: float) -> str:
    """Short and rounded, in the largest unit of which there are at least two.

    Examples
    --------
    >>> [duration(s) for s in (0.4, 75, 4000, 8000, 200000)]
    ['0 s', '75 s', '67 min', '2.2 h', '2.3 days']
    """
    for unit, size, digits in (("days", 86400.0, 1), ("h", 3600.0, 1), ("min", 60.0, 0)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{digits}f} {unit}"
    return f"{seconds:.0f} s"
