"""`python -m kernelwright.cli`, as `kernelwright`."""

from .app import main

main()
