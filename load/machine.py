"""The machine and the versions that a figure was measured with; without them it cannot be compared with another."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

MEASURED_LIBRARIES = ("duckdb", "fastapi", "fastavro", "httptools", "pyarrow", "pydantic", "uvicorn", "uvloop")


def describe() -> dict[str, Any]:
    """Processor, cores that may be used, system, Python, the libraries in what is measured, and the load."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in MEASURED_LIBRARIES},
        "load_average": round(os.getloadavg()[0], 2),
    }


def _processor() -> str:
    """The model name as the kernel has it, which differs between architectures."""
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
