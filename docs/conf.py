"""How the site is built: `sphinx-build -W docs site`."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import gallery
import reference

project = "hyperprune"
author = "The hyperprune developers"
release = metadata.version("hyperprune")
extensions = ["myst_parser", "sphinx.ext.autodoc"]
autodoc_mock_imports = ["lightning", "transformers"]  # extras
autodoc_typehints = "none"
autodoc_member_order = "bysource"
source_suffix = {".md": "markdown"}
exclude_patterns = ["plugins/noisy", "recorded"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3  # so that links to headings are checked
html_theme = "furo"
html_title = f"hyperprune {release}"
html_show_copyright = False
nitpicky = True
nitpick_ignore_regex = [("py:.*", ".*")]  # signatures name types of other projects


def setup(app):
    """Sphinx asks for this."""
    app.connect("source-read", gallery.fill)
    app.connect("autodoc-process-docstring", reference.as_paragraphs)
