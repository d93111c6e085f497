"""A session in a process of its own: each line on stdin asks for so many runs, each line on stdout tells their ms."""

import json
import sys
import time
from collections.abc import Callable


def serve(run: Callable[[], object]) -> None:
    """Answer until stdin ends; `run` is one inference."""
    run()
    for line in sys.stdin:
        took = []
        for _ in range(int(line)):
            began = time.perf_counter()
            run()
            took.append((time.perf_counter() - began) * 1000)
        print(json.dumps(took), flush=True)
