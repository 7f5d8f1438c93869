"""Which faults there are for which kind of log, and how often each comes."""

from collections.abc import Sequence

from load.faults import injections as common
from load.faults import second_process
from load.faults import storage_faults as storage
from load.faults.broker_faults import BROKERS
from load.faults.damage import byte_flipped
from load.faults.injections import FOLLOWER_POINTS, GATE_POINTS, NETWORK, SEAL_POINTS, Injection, network

ANY_LOG: Sequence[Injection] = (
    Injection("gate killed", common.killed, weight=2),
    Injection("gate killed at a failpoint", common.killed_at_failpoint, weight=4, failpoints=GATE_POINTS),
    Injection("follower killed at a failpoint", common.killed_at_failpoint, weight=2, failpoints=FOLLOWER_POINTS),
    Injection("killed while sealing", common.killed_while_sealing, weight=2, failpoints=SEAL_POINTS),
    Injection("gate paused", common.paused, weight=2),
    Injection("told to stop", common.told_to_stop, weight=2),
    Injection("clock steps back", common.clock_steps_back, weight=2),
    Injection("policy broken", common.policy_broken),
    Injection("policy changed", common.policy_changed, weight=2),
    Injection("policy rolled back", common.policy_rolled_back),
    Injection("poison in the log", storage.poison),
    Injection("second follower", second_process.second_follower, weight=2),
    *(network(name) for name in NETWORK),
)

ON_A_DISK: Sequence[Injection] = (
    Injection("disk full", storage.disk_full, weight=3),
    Injection("tail of the log torn", storage.tail_torn, weight=2),
    Injection("byte of the log flipped", byte_flipped, weight=2),
)

SHARED: Sequence[Injection] = (Injection("second gate", second_process.second_gate, weight=3),)

TRACED: Sequence[Injection] = (Injection("syncs fail", storage.syncs_fail, weight=3),)


def embedded_injections() -> Sequence[Injection]:
    """The faults of a gate on the embedded log, as far as this machine can make them."""
    return (*ANY_LOG, *ON_A_DISK, *(TRACED if storage.can_fail_syncs() else ()))


def kafka_injections() -> Sequence[Injection]:
    """The faults of a gate on Kafka: those of any log, those of brokers, and another gate on it."""
    return (*ANY_LOG, *BROKERS, *SHARED)
