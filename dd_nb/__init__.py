"""A Jupyter-first toolkit for dataset distillation."""

__version__ = "0.1.0"

import os as _os, sys as _sys
# OpenMP threads that spin while they wait cost a step five times its time as soon as a browser, or anything else, wants the same
# cores (benchmarks/latency.py); it must be said before torch loads its runtime, and what a person has set wins.
if "torch" not in _sys.modules: _os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The public names, loaded when first used: importing dd_nb costs nothing, plotting and widgets come when they are wanted.
_PUBLIC = dict(
    core="DDError",
    data="ImageData load_data list_data register_data",
    augment="DSA dsa_for",
    nets="Net make_net list_nets register_net",
    distilled="Batch Distilled Images",
    store="Run runs load_run",
    loop="Method register_method list_methods get_method method_config distill distill_iter estimate",
    judge="Protocol PROTOCOLS get_protocol save_protocol load_protocol evaluate evaluate_iter bounds bounds_iter summarize",
    plots="image_grid time_lapse loss_curves accuracy_by_net accuracy_by_bytes",
    explorer="Explorer",
    **{"views.compare": "gather net_table save_table", "compare.sweep": "sweep sweep_iter", "compare.figures": "report save_figure", "compare.scores": "scores score_runs score_table paired fair_table", "compare.published": "published beside",
       "compare.foreign": "load_foreign save_foreign", "compare.tuning": "tune", "methods.codecs": "list_codecs"},
)
_WHERE = {name: module for module, names in _PUBLIC.items() for name in names.split()}
__all__ = sorted(_WHERE)

def __dir__(): return sorted({*globals(), *__all__})

def __getattr__(name):
    from importlib import import_module
    if name not in _WHERE: raise AttributeError(f"module 'dd_nb' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"dd_nb.{_WHERE[name]}"), name)
    return value
