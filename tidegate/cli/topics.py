"""`tidegate topics`: the topics of a Kafka cluster, as the policies say."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from ingest.topics.acls import Principals, commands, topic_acls
from ingest.topics.plan import Step, TopicPlan
from ingest.topics.wanted import wanted_topics
from schemas.catalogue import TIERS_DIRECTORY
from tidegate.cli.contracts import contracts
from tidegate.cli.data_directory import json_option
from tidegate.cli.page import page
from tidegate.cli.setting_options import KAFKA_SETTINGS, setting_options
from tidegate.cli.topic_text import done, plan_document, summary, tell_plan
from tidegate.settings import CONFIG_VARIABLE, Settings, SettingsError, load_settings

T = TypeVar("T")
Command = TypeVar("Command", bound=Callable[..., Any])

CHANGES = 3
"""The exit code of `plan --detailed-exitcode` where there is something to do; 2 is wrong usage everywhere."""

REFUSED = 4
"""The same where something is refused."""


def _cluster_options(command: Command) -> Command:
    """How the cluster is reached, as of `tidegate serve`."""
    config = click.option(
        "--config",
        type=click.Path(path_type=Path, dir_okay=False),
        envvar=CONFIG_VARIABLE,
        show_envvar=True,
        help="Settings file, as of `tidegate serve`.",
    )
    return setting_options("tiers", *KAFKA_SETTINGS)(config(command))


def _job_options(command: Command) -> Command:
    """What is wanted of it."""
    delete = click.option(
        "--delete",
        metavar="TOPIC",
        multiple=True,
        help="Also delete this topic, which no policy names any more; apply does so with --force only.",
    )
    single = click.option(
        "--single-broker",
        is_flag=True,
        help="One copy of everything, whatever the policies say: for development on one broker.",
    )
    return _cluster_options(single(delete(command)))


@click.group("topics")
def topics_group() -> None:
    """Make the topics of a Kafka cluster as the policies say.

    One topic for each tier, report and version, and three that the gates write for themselves. Gates make no topics:
    while one is missing, a gate answers its reports with 503.

    How the cluster is reached is said as for `tidegate serve`: by flag, by TIDEGATE_KAFKA_* variable, or in a settings
    file (--config).

    Exit codes: 0 done, 1 failed or refused, 2 wrong usage; `plan` can say more.
    """


@topics_group.command("plan")
@_job_options
@click.option(
    "--detailed-exitcode", is_flag=True, help="Exit with 3 if there is something to do, with 4 if something is refused."
)
@json_option
@click.pass_context
def plan_command(context: click.Context, /, *, as_json: bool, detailed_exitcode: bool, **flags: Any) -> None:
    """Show what `apply` would do, and do nothing.

    A line begins with + for a topic to create, with ~ for something to change, with - for a topic to delete, and with !
    for what is refused, with what it would mean. Topics that no policy names, and those of others, are left alone.

    \b
    Examples:
      tidegate topics plan --kafka-bootstrap broker-1:9092,broker-2:9092
      tidegate topics plan --config gate.toml --detailed-exitcode
      tidegate topics plan --kafka-bootstrap 127.0.0.1:9092 --single-broker

    Exit codes: 0 shown, 1 the cluster cannot be looked at, 2 wrong usage. With --detailed-exitcode: 0 nothing to do, 3
    something to do, 4 something is refused.
    """  # noqa: D301 - \b keeps click from joining the lines
    settings, job = _job(flags)
    plan = _run(job.plan())
    if as_json:
        click.echo(json.dumps(plan_document(plan, topic_prefix=settings.kafka_topic_prefix), indent=2))
    else:
        _show(plan, settings)
    if detailed_exitcode:
        context.exit(REFUSED if plan.refusals else CHANGES if plan.steps else 0)


@topics_group.command("apply")
@_job_options
@click.option("--force", is_flag=True, help="Also do what is refused because it loses something; read `plan` first.")
@json_option
def apply_command(*, force: bool, as_json: bool, **flags: Any) -> None:
    """Make the topics as the policies say, after showing what `plan` shows.

    Nothing at all is done while something is refused: a shorter retention, fewer copies in sync, another number of
    partitions, a deletion. --force does those that Kafka can do. What was done is not done again, so a command that was
    interrupted is run once more, and two at once do no harm.

    \b
    Examples:
      tidegate topics apply --kafka-bootstrap broker-1:9092,broker-2:9092
      tidegate topics apply --kafka-bootstrap 127.0.0.1:9092 --single-broker
      tidegate topics apply --config gate.toml --force

    Exit codes: 0 the topics are as the policies say, 1 something was refused, or failed, 2 wrong usage.
    """  # noqa: D301 - as above
    settings, job = _job(flags)

    def agree(plan: TopicPlan) -> TopicPlan:
        if not as_json:
            _show(plan, settings)
        return plan.insisted() if force else plan

    def progress(steps: Sequence[Step]) -> None:
        click.echo(f"{done(steps)}.", err=as_json)

    plan = _run(job.apply(agree=agree, done=progress))
    if as_json:
        click.echo(json.dumps(plan_document(plan, topic_prefix=settings.kafka_topic_prefix), indent=2))
    if plan.refusals:
        raise click.ClickException(_nothing_done(plan))


@topics_group.command("acls")
@_cluster_options
@click.option("--gate", default=Principals.gate, show_default=True, help="As whom gates log in.")
@click.option("--follower", default=Principals.follower, show_default=True, help="As whom followers log in.")
@click.option("--admin", default=Principals.admin, show_default=True, help="As whom topics are applied.")
@json_option
def acls_command(*, gate: str, follower: str, admin: str, as_json: bool, **flags: Any) -> None:
    """Print the ACLs that belong to the topics, as commands of Kafka's kafka-acls.sh.

    Gates may write every topic and read the schemas alone; followers may read and not write; who applies topics may
    neither read nor write; the readers of a tier are those that its policy names, and they read no other tier. Nothing
    is sent to the cluster, and nothing is taken from anybody who has it already.

    A process that takes reports and answers logs in once: give --gate and --follower the same name.

    \b
    Examples:
      tidegate topics acls --kafka-bootstrap broker-1:9092
      tidegate topics acls --config gate.toml --gate 'User:CN=gate,O=Example' --json

    Exit codes: 0 printed, 1 the policies cannot be used, 2 wrong usage.
    """  # noqa: D301 - as above
    settings = _settings(flags)
    principals = Principals(*(_principal(name) for name in (gate, follower, admin)))
    catalogue = contracts(settings.tiers or TIERS_DIRECTORY)
    acls = topic_acls(catalogue, principals, topic_prefix=settings.kafka_topic_prefix)
    if as_json:
        click.echo(json.dumps([asdict(acl) for acl in acls], indent=2))
        return
    for command in commands(acls, bootstrap=settings.kafka().bootstrap):
        click.echo(command)


def _principal(name: str) -> str:
    if not name.startswith("User:") or "*" in name or not name.removeprefix("User:"):
        raise click.UsageError(f"{name!r} is no principal: Kafka calls a user User:<name>, and * would be everybody")
    return name


def _settings(flags: dict[str, Any]) -> Settings:
    """The settings of the cluster; those that only a gate needs are not asked for."""
    config = flags.pop("config")
    try:
        return load_settings({**flags, "data": ".", "log": "kafka"}, config=config)
    except SettingsError as error:
        raise click.UsageError(str(error)) from None


def _job(flags: dict[str, Any]) -> "tuple[Settings, Any]":
    from ingest.topics.cluster import Brokers, TopicsJob

    delete, single = flags.pop("delete"), flags.pop("single_broker")
    settings = _settings(flags)
    catalogue = contracts(settings.tiers or TIERS_DIRECTORY)
    prefix = settings.kafka_topic_prefix
    return settings, TopicsJob(
        settings.kafka(),
        wanted_topics(catalogue),
        topic_prefix=prefix,
        brokers=Brokers.ONE if single else Brokers.SEVERAL,
        delete=[name.removeprefix(prefix) for name in delete],
    )


def _run(work: Coroutine[Any, Any, T]) -> T:
    from ingest.topics.admin import KafkaAdminError

    try:
        return asyncio.run(work)
    except KafkaAdminError as error:
        raise click.ClickException(str(error)) from None


def _show(plan: TopicPlan, settings: Settings) -> None:
    console = page()
    tell_plan(console, plan, topic_prefix=settings.kafka_topic_prefix)
    console.print(f"{summary(plan)}.")


def _nothing_done(plan: TopicPlan) -> str:
    possible = sum(refusal.step is not None for refusal in plan.refusals)
    if not possible:
        return f"nothing was done: {len(plan.refusals)} refused, which --force does not change"
    force = "--force does it" if possible == len(plan.refusals) == 1 else f"--force does {possible} of it"
    return f"nothing was done: {len(plan.refusals)} refused; {force}"
