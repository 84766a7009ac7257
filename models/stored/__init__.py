"""Weights in files of other makers: `torch_files` reads PyTorch's, `pickled` the pickles in them, running no code."""
