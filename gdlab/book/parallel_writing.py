"""Pages are read one after the other and written side by side, one process a core.

Sphinx does both or neither, and an extension of Jupyter Book's does not say whether it may be read so. `setup` is a
Sphinx extension, listed in _config.yml.
"""

import os
from typing import Any


def _allow(app, environment) -> list[str]:
    """Called once all pages are read; none has to be written beyond those that Sphinx knows of."""
    app.parallel = (os.cpu_count() or 1) + 1  # one process hands out the pages
    return []


def setup(app) -> dict[str, Any]:
    """Sphinx calls this for every extension in _config.yml."""
    app.connect("env-updated", _allow)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
