"""Headers of columns: the name of a quantity and the text of its unit."""


def split_header(header: str) -> tuple[str, str]:
    """Split a header into its name and the text of the unit in its trailing parentheses.

    >>> split_header("EA (eV)"), split_header("f(x) (J/(mol K))"), split_header("a (b) c"), split_header("N_val")
    (('EA', 'eV'), ('f(x)', 'J/(mol K)'), ('a (b) c', ''), ('N_val', ''))
    """
    header = header.strip()
    if not header.endswith(")"):
        return header, ""
    depth = 0
    for start in range(len(header) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(header[start], 0)
        if depth == 0:
            name = header[:start].strip()
            return (name, header[start + 1 : -1].strip()) if name else (header, "")
    return header, ""
