"""The `tidegate` command: one module per subcommand, and nothing but wiring in any of them."""

import click

from tidegate import __version__
from tidegate.cli.agent import agent_command
from tidegate.cli.ask import ask_command
from tidegate.cli.demo import demo
from tidegate.cli.fleet import fleet_command
from tidegate.cli.gap import gap_command
from tidegate.cli.key import key_group
from tidegate.cli.log import log_group
from tidegate.cli.manifest import manifest_group
from tidegate.cli.policy import policy_group
from tidegate.cli.prices import prices_group
from tidegate.cli.rebuild import rebuild_command
from tidegate.cli.schema import schema_group
from tidegate.cli.serve import serve_command
from tidegate.cli.strip import strip_command
from tidegate.cli.token import token_group
from tidegate.cli.topics import topics_group


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="tidegate")
def main() -> None:
    """The gate between a fleet of devices that run AI models locally and the people who must understand it.

    \b
    Where to begin:
      tidegate demo                                see it work, with made-up reports
      tidegate serve --data ./data --port 0        run a gate
      tidegate token new --data ./data ...         let a device in
      tidegate manifest example                    say which names devices may use
      tidegate policy show managed                 what a tier keeps, and why
      tidegate strip managed report.avro           what would become of a report
      tidegate log tail --data ./data --follow     what is stored, as it comes
      tidegate agent init URL                      set a device up, on that device
      tidegate ask --token-file analyst.txt        what may be asked, and then ask it

    Exit codes of every command: 0 done, 1 refused or failed, 2 wrong usage.
    """  # noqa: D301 - \b keeps click from joining the lines


for command in (
    serve_command,
    token_group,
    manifest_group,
    prices_group,
    key_group,
    schema_group,
    policy_group,
    strip_command,
    topics_group,
    log_group,
    ask_command,
    agent_command,
    fleet_command,
    rebuild_command,
    gap_command,
    demo,
):
    main.add_command(command)
