"""`tidegate agent`: what runs on a device. Arguments go on to it as they are, for a device has no click."""

import sys

import click

NAME = "tidegate agent"


@click.command(
    "agent",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True},
    short_help="Set a device up, look at it, look after it.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def agent_command(arguments: tuple[str, ...]) -> None:
    """Set a device up, look at it, look after it: `tidegate agent --help`."""
    from reporter.agent.command import main

    sys.exit(main(arguments, command=NAME))
