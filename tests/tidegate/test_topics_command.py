"""`tidegate topics` on a real broker: what it shows, does, refuses and ends with."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.catalogue import TIERS_DIRECTORY
from tests.kafka_admin import admin_client, delete_topics
from tidegate.cli import main
from tidegate.settings import Settings

TOPICS = 25

on_kafka = pytest.mark.kafka


def run(*arguments: str) -> Result:
    """The command as it would be typed."""
    return CliRunner().invoke(main, ["topics", *arguments])


class Typed:
    """Commands about the topics of one test, with policies of its own."""

    def __init__(self, bootstrap: str, prefix: str, tiers: Path) -> None:
        self.cluster = ["--kafka-bootstrap", bootstrap, "--kafka-topic-prefix", prefix, "--tiers", str(tiers)]
        self.tiers = tiers
        self.prefix = prefix
        self.bootstrap = bootstrap
        self.admin = admin_client(bootstrap)

    def run(self, command: str, *arguments: str) -> Result:
        return run(command, *self.cluster, *arguments)

    def change(self, tier: str, old: str, new: str) -> None:
        """Change one thing in a policy file."""
        file = self.tiers / f"{tier}.toml"
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    def partitions(self, topic: str) -> int:
        return len(self.admin.list_topics(timeout=10).topics[self.prefix + topic].partitions)

    def names(self) -> list[str]:
        return [name for name in self.admin.list_topics(timeout=10).topics if name.startswith(self.prefix)]


@pytest.fixture
def typed(kafka_bootstrap: str, topic_prefix: str, tmp_path: Path) -> Iterator[Typed]:
    """Policies that ask for one copy, so that any cluster will do; the topics are gone when the test has ended."""
    tiers = tmp_path / "policies"
    tiers.mkdir()
    for file in TIERS_DIRECTORY.glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        text = text.replace("replication_factor = 3", "replication_factor = 1")
        text = text.replace("min_insync_replicas = 2", "min_insync_replicas = 1")
        (tiers / file.name).write_text(text, encoding="utf-8")
    typed = Typed(kafka_bootstrap, topic_prefix, tiers)
    yield typed
    if names := typed.names():
        delete_topics(typed.bootstrap, names)


class TestOnKafka:
    """What needs a broker."""

    pytestmark = on_kafka

    def test_plan_then_apply_then_nothing(self, typed: Typed) -> None:
        """A plan shows and does nothing, apply shows the same and does it, and the next plan has nothing left."""
        plan = typed.run("plan", "--detailed-exitcode")
        assert plan.exit_code == 3
        assert f"+ {typed.prefix}tidegate.schemas: create, 1 partition, replication factor 1" in plan.output
        assert f"{TOPICS} to create." in plan.output
        assert typed.names() == []
        applied = typed.run("apply")
        assert applied.exit_code == 0, applied.output
        assert applied.output == f"{plan.output}{TOPICS} created.\n"
        assert len(typed.names()) == TOPICS
        again = typed.run("plan", "--detailed-exitcode")
        assert again.exit_code == 0
        assert "nothing to do: the topics are as the policies say." in again.output
        assert typed.run("apply").exit_code == 0

    def test_a_change_is_shown_from_and_to(self, typed: Typed) -> None:
        """What differs is shown with both values, in words beside Kafka's own."""
        assert typed.run("apply").exit_code == 0
        typed.change("contractor", "retention_days = 90", "retention_days = 91")
        output = typed.run("plan").output
        line = "tidegate.contractor.route_window.v1: retention.ms from 7776000000 (90 days) to 7862400000 (91 days)"
        assert f"~ {typed.prefix}{line}" in " ".join(output.split())
        assert "4 to change." in output

    def test_what_loses_something_needs_force(self, typed: Typed) -> None:
        """A refusal says what would happen to the data, nothing is done without --force, and it is with it."""
        assert typed.run("apply").exit_code == 0
        typed.change("contractor", "partitions = 3", "partitions = 4")
        typed.change("contractor", "retention_days = 90", "retention_days = 60")
        plan = typed.run("plan", "--detailed-exitcode")
        said = " ".join(plan.output.split())
        assert plan.exit_code == 4
        assert "retention.ms from 7776000000 (90 days) to 5184000000 (60 days) refused: records older than" in said
        assert "partitions from 3 to 4 refused: nothing moves, but from then on a key may be in two partitions" in said
        refused = typed.run("apply")
        assert refused.exit_code == 1
        assert "nothing was done: 8 refused; --force does 8 of it" in refused.output
        assert typed.partitions("tidegate.contractor.route_window.v1") == 3
        forced = typed.run("apply", "--force")
        assert forced.exit_code == 0, forced.output
        assert forced.output.endswith("4 grown.\n4 changed.\n")
        assert typed.partitions("tidegate.contractor.route_window.v1") == 4

    def test_what_kafka_cannot_do_stays_refused(self, typed: Typed) -> None:
        """Fewer partitions are refused with --force as well, and the way out is said."""
        assert typed.run("apply").exit_code == 0
        typed.change("contractor", "partitions = 3", "partitions = 2")
        forced = typed.run("apply", "--force")
        assert forced.exit_code == 1
        assert "nothing was done: 4 refused, which --force does not change" in forced.output
        assert "Instead: write partitions = 3" in forced.output
        assert typed.partitions("tidegate.contractor.route_window.v1") == 3

    def test_a_tier_that_is_gone_leaves_its_topics(self, typed: Typed) -> None:
        """Topics of a tier that no file names are named and left alone; one is deleted by its name and --force."""
        assert typed.run("apply").exit_code == 0
        (typed.tiers / "contractor.toml").unlink()
        output = " ".join(typed.run("apply").output.split())
        name = f"{typed.prefix}tidegate.contractor.trace_window.v1"
        assert "left alone, since no policy names them: " in output
        assert name in output
        assert typed.run("apply", "--delete", name).exit_code == 1
        assert name in typed.names()
        assert typed.run("apply", "--delete", name, "--force").exit_code == 0
        assert len(typed.names()) == TOPICS - 1

    def test_json_says_the_same(self, typed: Typed) -> None:
        """--json prints one document, with progress on stderr, and the topics' own names."""
        plan = json.loads(typed.run("plan", "--json").stdout)
        created = [step["topic"] for step in plan["steps"]]
        assert (len(created), {step["do"] for step in plan["steps"]}) == (TOPICS, {"create"})
        assert all(name.startswith(typed.prefix) for name in created)
        assert plan["steps"][0]["configs"]["cleanup.policy"] == "delete"
        applied = typed.run("apply", "--json")
        assert (json.loads(applied.stdout)["steps"], applied.stderr) == (plan["steps"], f"{TOPICS} created.\n")
        typed.change("contractor", "partitions = 3", "partitions = 4")
        refused = json.loads(typed.run("plan", "--json").stdout)["refusals"]
        assert {(one["what"], one["force"]) for one in refused} == {("partitions from 3 to 4", True)}


def test_a_broker_that_is_not_there() -> None:
    """A cluster that cannot be reached is said with its address, and nothing of Python's."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        result = run("plan", "--kafka-bootstrap", address)
    assert result.exit_code == 1
    said = f"Error: no broker could be used ({address}: nobody listens there); check the kafka settings\n"
    assert result.output == said
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "kafka_bootstrap is needed", id="no cluster"),
        pytest.param(["--kafka-bootstrap", "broker"], "no address of a broker", id="no port"),
        pytest.param(
            ["--kafka-bootstrap", "b:1", "--kafka-security-protocol", "SASL_SSL"], "needs a SASL", id="no user"
        ),
        pytest.param(["--kafka-bootstrap", "b:1", "--config", "nowhere.toml"], "no such settings file", id="no file"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["plan", "apply", "acls"])
def test_how_the_cluster_is_reached_is_checked_first(command: str, arguments: list[str], said: str) -> None:
    """Settings that cannot be used are wrong usage, as of `tidegate serve`, before anything is asked."""
    result = run(command, *arguments)
    assert (result.exit_code, said in result.output) == (2, True), result.output


def test_the_settings_of_a_gate_will_do(tmp_path: Path) -> None:
    """The settings file of a gate says how the cluster is reached, and what only a gate needs is passed over."""
    config = tmp_path / "gate.toml"
    config.write_text('data = "/var/lib/tidegate"\nlog = "kafka"\nkafka_bootstrap = "b:1"\n', encoding="utf-8")
    result = run("acls", "--config", str(config))
    assert result.exit_code == 0, result.output
    assert "--bootstrap-server b:1" in result.output


def test_every_way_to_reach_a_cluster_is_an_option() -> None:
    """Each kafka_ setting of `tidegate serve` is an option of all three commands, by the same name."""
    names = ["--" + name.replace("_", "-") for name in Settings.model_fields if name.startswith("kafka_")]
    assert len(names) > 5
    for command in ("plan", "apply", "acls"):
        assert [name for name in names if name not in run(command, "--help").output] == []


def test_acls_are_commands_or_json(tmp_path: Path) -> None:
    """The same principals, topics and operations are printed as commands and as JSON, the tier's readers with them."""
    for file in TIERS_DIRECTORY.glob("*.toml"):
        text = file.read_text(encoding="utf-8")
        if file.stem == "byod":
            text = text.replace("readers = []", 'readers = ["User:analytics"]')
        (tmp_path / file.name).write_text(text, encoding="utf-8")
    wanted = ["--tiers", str(tmp_path), "--kafka-bootstrap", "b:1", "--gate", "User:CN=gate, O=Example"]
    listed = json.loads(run("acls", *wanted, "--json").stdout)
    assert {
        "principal": "User:analytics",
        "resource_type": "TOPIC",
        "pattern_type": "PREFIXED",
        "name": "tidegate.byod.",
        "operation": "READ",
    } in listed
    assert {one["name"] for one in listed if one["principal"] == "User:analytics"} == {
        "tidegate.byod.",
        "tidegate.schemas",
    }
    commands = run("acls", *wanted).output
    assert "--allow-principal 'User:CN=gate, O=Example'" in commands
    assert commands.count("kafka-acls.sh --bootstrap-server b:1 --command-config admin.properties --add") == 9


@pytest.mark.parametrize("name", ["gate", "User:", "User:*", "Group:gates"])
def test_a_principal_is_one_user(name: str) -> None:
    """What is no user of Kafka's, and what would be everybody, is wrong usage."""
    result = run("acls", "--kafka-bootstrap", "b:1", "--gate", name)
    assert result.exit_code == 2
    assert "is no principal" in result.output
