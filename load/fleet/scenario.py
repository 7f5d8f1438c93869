"""A fleet made whole: population, models, world, three days of tasks, installations. Everything from one seed.

    fleet = make_fleet(devices=2_000, seed=7, now_ms=clock.now_ms(), trace=Path("AzureLLMInferenceTrace_conv.csv"))

The same seed, hour and trace make the same fleet. Each part draws from a generator of its own, named after it, so that
a change in one part leaves the draws of the others where they were.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from load.fleet.dealing import Session, deal
from load.fleet.devices import Profile, make_profiles
from load.fleet.draft import Draft, finish
from load.fleet.installations import Usage, installations_of
from load.fleet.models import make_servers, make_shelf, manifest_document, prices_document
from load.fleet.nouns import Fleet, Installation, Pulse
from load.fleet.sessions import Setting, play
from load.fleet.trace import MS_PER_HOUR, read_trace, synthetic_trace
from load.fleet.world import make_world
from schemas.catalogue import load_catalogue

DAYS = 3
HOURS_A_DAY = 24
TASKS_A_DEVICE_DAY = 20
FILES_TOLD_EVERY = 12
MS_PER_MINUTE = 60_000

Deals = Callable[..., Sequence[Session]]
"""As `load.fleet.dealing.deal`."""


def make_fleet(  # noqa: PLR0913  # everything that a fleet follows from
    *,
    devices: int = 2_000,
    seed: int,
    now_ms: int,
    trace: Path | None = None,
    days: int = DAYS,
    tasks: int | None = None,
    files_told_every: int = FILES_TOLD_EVERY,
    deal: Deals = deal,
) -> Fleet:
    """A fleet over the whole hours up to the one of `now_ms` (milliseconds since the epoch, UTC).

    `tasks` is how many there are, by default about 20 a device and day; `files_told_every` so many hours a device tells
    of its model files, and `deal` says who asks when. Raises `TraceError`.
    """
    end = now_ms - now_ms % MS_PER_HOUR
    start = end - days * HOURS_A_DAY * MS_PER_HOUR
    requests = synthetic_trace(_random(seed, "trace")) if trace is None else read_trace(trace)
    profiles = make_profiles(_random(seed, "devices"), devices=devices)
    number = devices * days * TASKS_A_DEVICE_DAY if tasks is None else tasks
    setting = _setting(seed, profiles, start=start, end=end)
    sessions = deal(_random(seed, "dealing"), profiles, requests, start=start, end=end, tasks=number)
    drafts = _drafts(setting, sessions)
    usage = _usage(drafts)
    return Fleet(
        seed=seed,
        start_ms=start,
        end_ms=end,
        devices=tuple(profile.device for profile in profiles),
        tasks=tuple(finish(draft) for draft in drafts),
        installations=tuple(
            _installations(seed, setting, profiles, usage, hours=range(start, end, MS_PER_HOUR), every=files_told_every)
        ),
        pulses=tuple(_pulses(seed, profiles, start=start, end=end)),
        manifest=manifest_document(),
        prices=prices_document(),
    )


def _random(seed: int, part: str) -> Random:
    return Random(f"{seed}/{part}")


def _setting(seed: int, profiles: Sequence[Profile], *, start: int, end: int) -> Setting:
    models, policy = _random(seed, "models"), _random(seed, "policy")
    return Setting(
        random=_random(seed, "sessions"),
        world=make_world(_random(seed, "world"), profiles, start=start, end=end),
        servers=make_servers(models, start=start, end=end),
        shelves=[make_shelf(models, profile, start=start, end=end) for profile in profiles],
        policy_since=[policy.randrange(start - (end - start) // 3, end) for _ in profiles],
        window_ms={name: tier.window_minutes * MS_PER_MINUTE for name, tier in load_catalogue().tiers.items()},
    )


def _drafts(setting: Setting, sessions: Sequence[Session]) -> list[Draft]:
    """Every task in order of time."""
    drafts = [draft for session in sessions for draft in play(setting, session)]
    return sorted(drafts, key=lambda draft: (draft.time, draft.device))


def _usage(drafts: Sequence[Draft]) -> Mapping[Usage, tuple[int, int]]:
    """(tasks planned for a file, those that ran elsewhere) per device, hour and model."""
    tasks: Counter[Usage] = Counter()
    fallbacks: Counter[Usage] = Counter()
    for draft in drafts:
        if draft.planned_model is not None:
            key = Usage(draft.device, draft.time - draft.time % MS_PER_HOUR, draft.planned_model)
            tasks[key] += 1
            fallbacks[key] += draft.fell_back
    return {key: (number, fallbacks[key]) for key, number in tasks.items()}


def _installations(
    seed: int,
    setting: Setting,
    profiles: Sequence[Profile],
    usage: Mapping[Usage, tuple[int, int]],
    *,
    hours: range,
    every: int,
) -> Iterator[Installation]:
    random = _random(seed, "installations")
    for hour in hours:
        for profile in profiles:
            if (hour // MS_PER_HOUR + profile.device.index) % every == every - 1:
                yield from installations_of(random, profile, setting.shelves[profile.device.index], usage, hour=hour)


def _pulses(seed: int, profiles: Sequence[Profile], *, start: int, end: int) -> Iterator[Pulse]:
    """A health_window and a trace_window of each device, about some hour; contractors send no health_window."""
    random = _random(seed, "pulses")
    hours = range(start, end, MS_PER_HOUR)
    found = [
        Pulse(profile.device.index, random.choice(hours), report)
        for profile in profiles
        for report in ("health_window", "trace_window")
        if not (report == "health_window" and profile.device.tier == "contractor")
    ]
    yield from sorted(found, key=lambda pulse: (pulse.hour, pulse.device, pulse.report))
