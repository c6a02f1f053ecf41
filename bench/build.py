"""Compiles the load generator and the mock upstream into `.build/` at first use, and again when their source changed."""

import hashlib
import shutil
import subprocess
from pathlib import Path

from bench.peers.system import Missing

HERE = Path(__file__).parent
BUILD = HERE / ".build"
FLAGS = ("-std=gnu17", "-O2", "-Wall", "-Wextra", "-Wno-implicit-fallthrough")


def compiled(name: str) -> Path:
    """The path of the program built from `<name>.c`. Raises Missing without a C compiler."""
    source = HERE / f"{name}.c"
    digest = hashlib.sha256(source.read_bytes() + (HERE / "http.h").read_bytes() + " ".join(FLAGS).encode()).hexdigest()
    program = BUILD / "bin" / f"{name}-{digest[:16]}"
    if not program.exists():
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise Missing("no C compiler for the load generator: apt-get install gcc libc6-dev")
        program.parent.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(".new")
        subprocess.run([compiler, *FLAGS, "-o", unfinished, source, "-lm"], check=True, timeout=120)
        unfinished.rename(program)
    return program
