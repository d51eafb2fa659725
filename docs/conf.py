"""How the site is built: `sphinx-build -W docs site`."""

from importlib import metadata

project = "hyperprune"
author = "The hyperprune developers"
release = metadata.version("hyperprune")
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["plugins/noisy"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3  # so that links to headings are checked
html_theme = "furo"
html_title = f"hyperprune {release}"
html_show_copyright = False
nitpicky = True
