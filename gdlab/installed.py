"""What is installed here: Python, and packages by their names on the registry."""

import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version


def installed_versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions by name, Python's among them; "" where a package is not installed.

    Example:
        installed_versions(["numpy", "nonesuch"])    # {"python": "3.11.7", "numpy": "2.4.6", "nonesuch": ""}
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in packages}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
