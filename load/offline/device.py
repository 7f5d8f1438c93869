"""One device on the virtual clock: its applications tell of tasks, it closes windows, sends, sleeps, is started again.

It is at work from the first task of a while until shortly after its last window, and sleeps then. What runs is the
library's own work without its thread (`reporter.work`), with the real queue in a directory and the real sender over
the network that is handed in.
"""

from collections.abc import Sequence
from random import Random

from load.fleet.nouns import Device
from load.fleet.truth_rows import consents
from load.offline.clock import MovedClock
from load.offline.plan import HOUR_MS
from load.offline.wire import ETAG, Network
from reporter.clock import Clock
from reporter.directory import Directory
from reporter.observing.observation import Observation
from reporter.parts import Parts, SettingsNow
from reporter.queue.nouns import Status
from reporter.queue.queue import Queue
from reporter.reports import IDENTIFIERS
from reporter.sending.sender import Sender
from reporter.sending.sender_lock import SenderLock
from reporter.state import Device as Facts
from reporter.state import Settings, SettingsFile, write
from reporter.survival import Survival
from reporter.work import Work

AWAKE_SECONDS = 3.0
"""After the last window of a while: long enough to close it, and mostly too short to send."""

LONG_AWAKE, LONG_AWAKE_SECONDS = 0.15, 90.0
"""Share of times when it is awake for longer, and sends what there is."""

ASLEEP_MS = 15 * 60_000
"""A pause of this length between two tasks is slept through, unless both are in one window."""

STARTED_AGAIN = 0.1
"""Share of sleeps after which another process goes on, with what is on the disk."""

MOST_STEPS = 2_000
"""Of the sender until the queue is empty; a hundred are enough for thirty days."""

LATEST_RETURN_HOURS = 48.0
"""After the days are over every device comes back within so long."""


class NeverEmpty(Exception):
    """A device's queue did not run empty, though it has a network and a gate that takes everything."""


class LivingDevice:
    """`directory` is its own, and empty. `token` is the one secret beside its identifiers."""

    def __init__(
        self, device: Device, directory: Directory, network: Network, *, clock: MovedClock, random: Random, token: str
    ) -> None:
        self._device = device
        self._directory = directory
        self._network = network
        self._clock = clock
        self._random = random
        self._token = token
        self.survival = Survival(lambda: None)
        self._work: Work
        self._looked_into = self._queue()

    def set_up(self, policy: bytes) -> None:
        """As `tidegate agent init` does it, while there is a network."""
        self._directory.make()
        settings = _settings(self._device, self._token)
        write(self._directory.settings, settings)
        self._queue().keep_policy(settings.endpoint, policy, ETAG)
        self._start()

    def live(self, observations: Sequence[Observation]) -> None:
        """Everything that happens to it, in order; every window is closed in the end."""
        for number, observation in enumerate(observations):
            if number and observation.at_ms > max(self._window_end(), self._clock.now_ms() + ASLEEP_MS):
                self._rest()
            self._clock.to(observation.at_ms)
            self._work.close()
            self._work.add(observation)
            self._work.close()
        self._rest()

    def come_back(self, end_ms: int) -> None:
        """After the days are over: the network is there, and all that waits is sent at the library's own pace."""
        # Windows that were coarsened to whole hours may be sent once these are over.
        self._clock.to(end_ms + HOUR_MS + self._random.randrange(round(LATEST_RETURN_HOURS * HOUR_MS)))
        for _ in range(MOST_STEPS):
            if not self.status().depth.reports:
                return
            self._clock.pass_seconds(self._work.step())
        raise NeverEmpty(f"{self.status().depth.reports} reports are left after {MOST_STEPS} steps")

    def status(self) -> Status:
        """What its queue says to somebody who looks into it from outside."""
        return self._looked_into.status()

    def end(self) -> None:
        """Its process ends."""
        self._work.end()

    def _window_end(self) -> int:
        return self._clock.now_ms() + round((self._work.seconds_to_close() or 0.0) * 1000)

    def _rest(self) -> None:
        """The rest of the last window, a moment after it, and sleep."""
        self._clock.to(self._window_end())
        self._work.look()
        self._work.close()
        awake = LONG_AWAKE_SECONDS if self._random.random() < LONG_AWAKE else AWAKE_SECONDS
        until = self._clock.monotonic() + awake
        while self._clock.monotonic() < until:
            self._clock.pass_seconds(self._work.step())
        if self._random.random() < STARTED_AGAIN:
            self.end()
            self._start()

    def _start(self) -> None:
        self._work = Work(
            self._directory, SettingsFile(self._directory.settings), self._clock, self.survival, self._parts
        )
        self._work.begin()
        self._work.look()

    def _parts(self, directory: Directory, settings: SettingsNow, clock: Clock) -> Parts:
        queue = self._queue()
        lock = SenderLock(directory.sender_lock)
        sender = Sender(queue, settings, lambda _: self._network, lock=lock, clock=clock, random=self._random)
        return Parts(queue, sender, None)

    def _queue(self) -> Queue:
        return Queue(self._directory.queue, clock=self._clock)


def _settings(device: Device, token: str) -> Settings:
    return Settings(
        endpoint=f"https://gate.example/t/{device.tier}",
        token=token,
        device=Facts(
            region=device.region,
            site=device.site,
            os=device.os,
            os_version=device.os_version,
            hardware_model=device.hardware_model,
            hardware_tier=device.hardware_tier,
            agent_version=device.agent_version,
            network_context=device.network_context,
        ),
        identifiers={name: getattr(device.identifiers, name) for name in IDENTIFIERS},
        consents=consents(device),
    )
