"""Click commands of all programs: user errors are printed as one line, without a stack trace."""

from __future__ import annotations

import errno
from typing import Any

import click

from runtime.cli.say import runnable
from runtime.errors import Refusal

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


class _BadValue(click.ClickException):
    exit_code = 2


class OneLine(click.Command):
    """Prints a Refusal as `Error: …` and exits with 1; a bad value of an option, with 2.

    A full or read-only disk is an error of one line, too, and so is a package that is not installed: `extra` of
    pyproject.toml brings what the command needs.
    """

    def __init__(self, *arguments: Any, extra: str | None = None, **options: Any) -> None:
        """Without `extra`, a missing package is an error of ours."""
        super().__init__(*arguments, **options)
        self._extra = extra

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options."""
        try:
            return super().parse_args(ctx, args)
        except click.BadParameter as error:
            raise _BadValue(error.format_message()) from error  # one line: click would put the usage before it

    def invoke(self, ctx: click.Context) -> object:
        """Run the command, or the chosen one of a group."""
        try:
            return super().invoke(ctx)
        except Refusal as error:
            raise click.ClickException(runnable(str(error))) from error
        except ModuleNotFoundError as error:
            if self._extra is None or not error.name:
                raise
            what = f"the package {error.name.partition('.')[0]} is not installed"
            raise click.ClickException(f"{what}; in a checkout: pip install '.[{self._extra}]'") from error
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            place = error.filename2 or error.filename or "the disk"
            raise click.ClickException(f"{place}: {error.strerror}; make room, or make it writable") from error
        except click.BadParameter as error:
            raise _BadValue(error.format_message()) from error


class Commands(OneLine, click.Group):
    """A group of such commands."""
