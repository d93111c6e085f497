"""What the command lines of all rooms share: refusals are one line, not a stack."""

from __future__ import annotations

import errno

import click

UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES}


class Refusal(Exception):
    """Something that is refused on purpose; the message names the thing and the remedy.

    `may_pass` says that it may be otherwise in a while, so that a scheduler tries again.
    """

    may_pass = False


class _BadValue(click.ClickException):
    exit_code = 2


class Commands(click.Group):
    """A group of commands that prints a Refusal as `Error: …` and exits with 1; a bad value of an option, with 2.

    A disk that is full or may not be written to is told in one line, too.
    """

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except Refusal as error:
            raise click.ClickException(str(error)) from error
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            place = error.filename2 or error.filename or "the disk"
            raise click.ClickException(f"{place}: {error.strerror}; make room, or make it writable") from error
        except click.BadParameter as error:
            raise _BadValue(error.format_message()) from error  # one line: click would put the usage before it
