"""A Jupyter-first toolkit for dataset distillation."""

__version__ = "0.1.0"
