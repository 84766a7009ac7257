"""Programs in files, to run where nothing compiles: written whole, and read with checks.

A file holds plain data, kernels' object code and constants behind a checksum, and says which CPU the code needs. It
holds no states: these are given by name when it is read. Its kernels are code, which runs with the rights of whoever
loads it. Leans on `plain` and `parts`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import llvmlite.binding as llvm

from . import matrix_unit
from .errors import ProgramFileError
from .partial import write_whole
from .parts import Part, decode, encode
from .plain import from_plain, to_plain
from .program import Program

MAGIC = b"KWPROGRM"
FAULTS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError)
"""What reading raises where a whole file holds something else than was written."""
FORMAT = 2
"""Raised with every change of what is stored, of the driver's or of a kernel's arguments."""


def save_program(path: str | os.PathLike[str], program: Program, architecture: str, features: Sequence[str]) -> None:
    """Write `program` to `path`, replacing it as a whole.

    architecture, features: what a CPU must be and have to run its code, in LLVM's names ("x86_64"; "avx2", "fma").
    Raises ProgramFileError where it cannot be written.
    """
    text, parts = to_plain(program)
    about = {"format": FORMAT, "architecture": architecture, "features": sorted(features), "program": text}
    stored: dict[str, Part] = {"about": json.dumps(about), **parts}
    try:
        write_whole(Path(path), encode(MAGIC, stored))
    except OSError as error:
        raise ProgramFileError(f"cannot write the program {path}: {error.strerror or error}") from None


def read_program(path: str | os.PathLike[str]) -> Program:
    """The program in a file, which this machine's CPU can run.

    Raises ProgramFileError for a file that is missing, damaged or something else, of another version's format, or for
    another CPU.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(len(MAGIC))
            data += file.read() if data == MAGIC else b""
    except MemoryError:
        raise ProgramFileError(f"the program {path} is larger than memory") from None
    except FileNotFoundError:
        raise ProgramFileError(f"there is no program {path}") from None
    except OSError as error:
        raise ProgramFileError(f"cannot read the program {path}: {error.strerror}") from None
    if not data.startswith(MAGIC):
        raise ProgramFileError(f"{path} is not a program of kernelwright; program.save(path) writes one")
    try:
        parts = decode(MAGIC, data)
        about = json.loads(parts["about"])
        found, architecture, features = about["format"], str(about["architecture"]), list(map(str, about["features"]))
    except FAULTS:
        raise ProgramFileError(f"the program {path} is damaged or incomplete; save it again") from None
    if found != FORMAT:
        raise ProgramFileError(
            f"the program {path} has format {found}, this version of kernelwright reads {FORMAT}; save it again with it"
        )
    _check_machine(path, architecture, features)
    try:
        return from_plain(about["program"], parts)
    except FAULTS as error:
        raise ProgramFileError(f"the program {path} is damaged: {error!r}; save it again") from None


def _check_machine(path: str | os.PathLike[str], architecture: str, features: Sequence[str]) -> None:
    here = llvm.get_process_triple().partition("-")[0]
    if here != architecture:
        raise ProgramFileError(f"the program {path} is for {architecture}, and this machine is {here}")
    has = llvm.get_host_cpu_features()
    refused = [] if matrix_unit.permitted() else matrix_unit.FEATURES
    lacking = [name for name in features if not has.get(name) or name in refused]
    if lacking:
        raise ProgramFileError(
            f"the program {path} is for a CPU with {', '.join(lacking[:5])}{' and more' * (len(lacking) > 5)}, which "
            f"this one ({llvm.get_host_cpu_name()}) has not; compile it for this CPU, or for an older one "
            "(KERNELWRIGHT_CPU=x86-64-v3)"
        )
