"""Sphinx configuration; built by `make docs` with warnings as errors."""

from wasserscore import __version__

project = "wasserscore"
copyright = "the wasserscore authors"
release = __version__
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
    "sphinx.ext.viewcode",
    "sphinxcontrib.bibtex",
]
myst_enable_extensions = ["dollarmath", "colon_fence", "deflist"]
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "plain"
autodoc_typehints = "description"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "wasserscore"
html_static_path = ["_static"]
html_css_files = ["width.css"]
