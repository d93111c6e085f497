"""What the command lines of all rooms share: refusals are one line, not a stack."""

from __future__ import annotations

import click


class Refusal(Exception):
    """Something that is refused on purpose; the message names the thing and the remedy."""


class Commands(click.Group):
    """A group of commands that prints a Refusal as `Error: …` and exits with 1."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except Refusal as error:
            raise click.ClickException(str(error)) from error
