"""The site comes first: it takes longest, and the other worker runs the pages meanwhile."""


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name != "test_site.py")
