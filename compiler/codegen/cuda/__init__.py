"""Kernels for NVIDIA GPUs: schedules, printers of Numba-CUDA source, PTX and cubin, and an executor without a GPU."""
