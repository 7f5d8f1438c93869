"""The files that come with the packages: schemas, tables of databases."""

from pkgutil import get_data


def shipped(package: str, name: str) -> str:
    """The text of a package's file; `name` has slashes. Raises `FileNotFoundError`."""
    # importlib.resources would say the same, and bring zipfile, shutil and tempfile into every application: 0.6 MiB.
    found = get_data(package, name)
    if found is None:
        raise FileNotFoundError
    return found.decode()
