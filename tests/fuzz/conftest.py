"""Prints how many inputs of each kind were tried."""

from collections import Counter


def pytest_terminal_summary(terminalreporter):
    counts = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, n in getattr(report, "user_properties", ()):
                if getattr(report, "when", "") == "call":
                    counts[name] += n
    if counts:
        terminalreporter.section("inputs tried")
        for name, n in sorted(counts.items()):
            terminalreporter.write_line(f"{n:6d} {name}")
