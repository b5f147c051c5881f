"""Settings of Sphinx for the documentation site; `docs/site/build.py` calls it."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from pygments.lexers.special import TextLexer

sys.path.insert(0, str(Path(__file__).parents[2]))

from docs.site.inventories import read_inventories
from melanoma_pl import __version__

project = "melanoma_pl"
author = "The melanoma_pl authors"
copyright = "The melanoma_pl authors, MIT licence"
release = version = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.viewcode",
    "myst_nb",
    "docs.site.signatures",
]
root_doc = "index"
language = "en"

# Markdown and notebooks
nb_execution_mode = "off"  # they are stored with their outputs: notebooks/execute.py
nb_merge_streams = True
nb_ipywidgets_js: dict[str, Any] = {}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

# Docstrings
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
maximum_signature_line_length = 100
add_module_names = False
default_role = "py:obj"  # a single back quote is a link where it names something, and code elsewhere
nitpick_ignore_regex = [("py:obj", ".*")]

# Pages
html_theme = "pydata_sphinx_theme"
html_title = "melanoma_pl"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_search_summary = False  # a browser lets no page read another file
html_context = {"default_mode": "auto"}  # as the reader's system: light or dark
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "navigation_with_keys": False,
    "show_prev_next": True,
    "secondary_sidebar_items": ["page-toc"],
    "show_nav_level": 1,
    "footer_start": ["copyright"],
    "footer_end": [],
    "back_to_top_button": False,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_math_renderer = "mathml"


def setup(app: Any) -> None:
    """Add the intersphinx files of this build, and formulas that need neither a script nor a font from elsewhere."""
    folder = Path(app.outdir).parent / "inventories"
    app.config.intersphinx_mapping = {
        name: (address, str(folder / f"{name}.inv")) for name, (address, _) in read_inventories().items()
    }
    app.add_lexer("csv", TextLexer)  # Pygments has none
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))


def visit_math(translator: Any, node: nodes.Element) -> None:
    """Write a formula within a line."""
    translator.body.append(mathml(node, as_block=False))
    raise nodes.SkipNode


def visit_math_block(translator: Any, node: nodes.Element) -> None:
    """Write a formula in a line of its own."""
    translator.body.append(f'<div class="formula">{mathml(node, as_block=True)}</div>')
    raise nodes.SkipNode


def mathml(node: nodes.Element, as_block: bool) -> str:
    """Return a formula in MathML; docutils' reader wants braces, and knows `ldots` only."""
    text = re.sub(r"\\frac(\d)(\d)", r"\\frac{\1}{\2}", node.astext()).replace(r"\dots", r"\ldots")
    return str(tex2mathml(text, as_block=as_block))
