"""The appliance with onnxruntime's exact INT8 kernel: `python -m benchmarks.contenders.exact_appliance`, as `runtime`.

That is what serves on a processor with AVX2 and no VNNI if the native kernel is off. Such a processor would first find
the fast kernel wrong, which takes time; here it is not tried, so what is measured is the least that onnxruntime takes.
"""

from __future__ import annotations

import sys

from runtime.__main__ import main
from runtime.inference import backends
from runtime.inference.backends import Kernel


def exact_alone() -> list[Kernel]:
    """In place of all the kernels that this host has."""
    return [Kernel("int8", "exact")]


if __name__ == "__main__":
    backends.int8_kernels = exact_alone
    sys.exit(main(prog_name="python -m benchmarks.contenders.exact_appliance"))
