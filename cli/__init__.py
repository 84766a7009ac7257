"""The command line: `kernelwright train`, `kernels`, `see` and the rest, one file for each."""

# mypy: implicit-reexport

from .app import app, main
