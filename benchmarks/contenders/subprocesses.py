"""Process isolation: each contender in its own process, so that spinning threads of one slow no other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection

from benchmarks.contenders.pipelines import Pipeline, Stages

MakePipeline = Callable[[], Pipeline]
Burst = Callable[[Sequence[bytes]], list[Stages]]

CLOSING_S = 10


@contextmanager
def isolated(makers: Mapping[str, MakePipeline]) -> Iterator[dict[str, Burst]]:
    """Start a process for each contender and have it make its pipeline there; all end with the block.

    Each maker must be picklable (a module's function, or a partial of one). Raises RuntimeError, with the cause, for a
    pipeline that cannot be made or that fails.
    """
    with ExitStack() as stack:
        yield {name: stack.enter_context(_contender(name, make)) for name, make in makers.items()}


@contextmanager
def _contender(name: str, make: MakePipeline) -> Iterator[Burst]:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, make), name=name, daemon=True)
    process.start()
    theirs.close()

    def burst(photos: Sequence[bytes]) -> list[Stages]:
        ours.send(list(photos))
        return _received(ours, name)

    try:
        _received(ours, name)  # an empty burst: the pipeline is made
        yield burst
    finally:
        ours.close()
        process.join(CLOSING_S)
        process.kill()
        process.join()


def _received(connection: Connection, name: str) -> list[Stages]:
    try:
        answer = connection.recv()
    except EOFError as error:
        raise RuntimeError(f"{name}: its process ended") from error
    if isinstance(answer, Exception):
        raise answer
    stages: list[Stages] = answer
    return stages


def _work(connection: Connection, make: MakePipeline) -> None:
    try:
        pipeline = make()
        connection.send([])
        while True:
            photos = connection.recv()
            connection.send([pipeline(photo) for photo in photos])
    except EOFError:
        return
    except Exception as error:  # it is raised again on the other side, with its text
        connection.send(RuntimeError(f"{type(error).__name__}: {error}"))
