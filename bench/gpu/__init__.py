"""What a machine with an NVIDIA GPU measures in some minutes: right or wrong, how fast, and beside PyTorch.

`python -m kernelwright.bench.gpu` runs it; `session` runs the parts that `parts` lists, each in a process of its own.
"""
