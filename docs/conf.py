"Sphinx, for the pages that docs/build.py lays out. Everything a page needs is in the site itself: it can be read without a network."
from pathlib import Path
from importlib.util import find_spec
from shutil import copytree
import dd_nb

project, author, release = "dd_nb", "The dd_nb authors", dd_nb.__version__
copyright = "The dd_nb authors, Apache-2.0"
extensions = ["myst_nb", "sphinx_design", "sphinx.ext.mathjax"]
nb_execution_mode = "off"                    # the outputs stored in the notebooks are shown
nb_merge_streams = True
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist", "attrs_block", "attrs_inline"]
myst_heading_anchors = 4
myst_dmath_double_inline = True
suppress_warnings = ["myst.header", "mystnb.unknown_mime_type", "misc.highlighting_failure"]
html_theme, html_title = "furo", "dd_nb"
html_static_path = ["_static"]
html_css_files = ["dd.css"]
html_copy_source = html_show_sphinx = False
mathjax_path = "mathjax/tex-chtml.js"
mathjax3_config = dict(options=dict(enableMenu=False))
html_theme_options = dict(light_css_variables={"color-brand-primary": "#0072B2", "color-brand-content": "#0072B2"}, dark_css_variables={"color-brand-primary": "#56B4E9", "color-brand-content": "#56B4E9"})
pygments_style, pygments_dark_style = "friendly", "github-dark"

def mathjax(app, failed):
    "MathJax into the site: what sets formulas, without its twenty megabytes of speech."
    home, out = Path(find_spec("sphinx-mathjax-offline").origin).parent/"static"/"mathjax", Path(app.outdir)/"_static"/"mathjax"
    keep = ("tex-chtml.js", "output", "input")
    if not failed: copytree(home, out, dirs_exist_ok=True, ignore=lambda d, names: [n for n in names if Path(d) == home and n not in keep or n in ("svg", "mml")])

def setup(app): app.connect("build-finished", mathjax)
