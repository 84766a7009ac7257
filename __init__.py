"""The public face of Kernelwright."""
