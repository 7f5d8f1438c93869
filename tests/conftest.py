"""Fixtures of every test: the Kafka that it is held against, and which worker runs it."""

import gc
import uuid
from collections.abc import Iterator

import pytest

from load.broker import Cluster, cluster
from tests import real_kafka

# What these modules assert is shown with its values, as in a test itself; whoever imports them first.
pytest.register_assert_rewrite("tests.running_gate", "tests.end_to_end.wire", "tests.load.broker.clients")


LONGEST = (
    "tests/tidegate/test_demo_command.py",
    "tests/load/broker/test_security.py",
    "tests/load/test_bench_kafka.py",
    "tests/load/faults/test_rounds.py",
    "tests/load/broker/test_cluster.py",
    "tests/load/fleet/test_verdict.py",
    "tests/deploy/test_dockerfile.py",
    "tests/wire/test_senders.py",
    "tests/reporter/agent/test_running.py",
    "tests/reporter/agent/test_commands.py",
    "tests/reporter/agent/test_readme.py",
)
"""Files that take half a minute or more, the longest first. Were one the last, one worker would be busy while the
other has nothing.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first, in the order of their list, all others in theirs."""
    places = {file: place for place, file in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.nodeid.partition("::")[0], len(places)))


def pytest_collection_finish() -> None:
    """What collecting thousands of tests has made stays: no search for garbage need look at it again."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A test on Kafka begins with the question whether there is one."""
    real_kafka.prepare(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the tests that were not run on a real broker."""
    reports = [
        report
        for kind in ("passed", "skipped", "failed")
        for report in terminalreporter.stats.get(kind, [])
        if isinstance(report, pytest.TestReport)
    ]
    if lines := real_kafka.summary(reports):
        terminalreporter.section("tests of Kafka that were not run on a real broker")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a Kafka: one's own (KAFKA_BOOTSTRAP), a broker of this session, or the mock cluster."""
    if named := real_kafka.own_cluster():
        with real_kafka.left_clean(named) as bootstrap:
            yield bootstrap
    elif real_kafka.missing():
        with real_kafka.mock_cluster() as bootstrap:
            yield bootstrap
    else:
        with cluster(tmp_path_factory.mktemp("kafka")) as kafka:
            yield kafka.bootstrap


@pytest.fixture
def topic_prefix() -> str:
    """What the topics of this test begin with, so that tests share a broker and nothing else."""
    return f"{real_kafka.OURS}{uuid.uuid4().hex[:8]}."


@pytest.fixture(scope="module")
def kafka_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three brokers for the tests of one module: replication factor 3, min.insync.replicas 2.

    A test that stops or hangs a broker starts it again before it ends.
    """
    with cluster(tmp_path_factory.mktemp("cluster"), brokers=3) as kafka:
        yield kafka
