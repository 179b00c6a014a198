"""The commands, as click knows them."""

from __future__ import annotations

import click

import tollkit
from tollkit.errors import TollkitError

__all__ = ["app"]


class _Group(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except TollkitError as error:
            # a person at a terminal wants what to do, not a traceback
            raise click.ClickException(str(error)) from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(tollkit.__version__, prog_name="tollkit")
def app() -> None:
    """Meter, sell and pay for AI work, from Python."""


@app.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=4020, show_default=True, help="Port to listen on; 0 for any free one.")
@click.option("--demo/--empty", default=True, show_default=True, help="Begin with two users and a month of usage.")
def sandbox(host: str, port: int, demo: bool) -> None:
    """Run the platforms on this machine, with no account and no network, until Ctrl-C."""
    from tollkit.sandbox import run_forever

    run_forever(host=host, port=port, demo=demo)
