"""The benchmark: networks raced against other frameworks in one interleaved run, `kernelwright bench`.

Leans on models, the compiler and the runtime; nothing leans on it but the command line. A peer framework is imported
only in the process that runs it.
"""
