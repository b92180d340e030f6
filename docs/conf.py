"""Sphinx configuration: MyST Markdown, furo, warnings as errors (`make docs`)."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "python"), str(HERE / "_ext")]

from maxwell.version import __version__  # noqa: E402

project = "Maxwell"
author = "The Maxwell authors"
copyright = "The Maxwell authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "generated",
]
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext", "images", "**/README.md", "experiments/*/table.md"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": False}
napoleon_google_docstring = True
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"Maxwell {__version__}"
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False
html_extra_path = [
    "reference/report.schema.json",
    "reference/scientist-vs-leech.schema.json",
    "reference/thinker-vs-miner.schema.json",
]
