"""Nothing that an application says of persons, machines or contents is on the device, but for its settings.

One device lives through everything at a real gate; the scanner that the gate is held to looks at every byte, in every
form. Where a search finds nothing, the same search has to find something else that belongs there.
"""

import json
import signal
from dataclasses import dataclass, replace

import pytest

from load.broker.node import free_ports
from load.leaks import Leak, Scanner
from reporter.reports import FINGERPRINTS, IDENTIFIERS, schema
from reporter.state import read, write
from tests.end_to_end.planted import Plants
from tests.end_to_end.test_identifiers import raw_files
from tests.reporter.a_devices_life import SETTINGS, SITE, VERSION, Application, Life
from tests.running_gate import RunningGate, change_tier, copy_tier, edit, eventually, running_gate, tier_files

NOBODY = "http://127.0.0.1:9/t/managed"
HOUSE = "house-7f3a"
"""A tier like byod, where the site rests on a consent."""

MODEL = {when: f"model-of-{when}-3d81f0" for when in ("first start", "policy", "tight", "loose", "last days")}
MODELS = r'fields = \["rows.model"\]\naction = "coarsen"\nby = "known"\nof = "model"'
NO_MODELS = 'fields = ["rows.model"]\naction = "drop"'


@dataclass(frozen=True, slots=True)
class Lived:
    """A life that is over: what was seen of it, and the gate's own disk and words."""

    life: Life
    places: dict[str, bytes]

    def found(self, place: str, **sought: str) -> set[str]:
        """The names of those of the sought values that are in a place, however they are written."""
        return {leak.planted for leak in Scanner(sought).scan({place: self.places[place]})}


def until_the_host_dies(life: Life, gate: RunningGate) -> None:
    """There is no gate at first, and so no policy; the device learns it while its application runs."""
    with life.application("a host that died") as application:
        application.do("configure", NOBODY)
        application.do("observe", MODEL["first start"])
        application.do("flush")
        life.look("at first start")
        set_up(life, gate, HOUSE)
        application.do("observe", MODEL["policy"])
        application.do("flush")
        application.do("observe", MODEL["policy"])
        life.look("under a policy")
        application.do("status")
        application.do("kill")
    life.look("after the host died")


def on_a_full_disk(life: Life, application: Application) -> None:
    """A consent is withdrawn while nothing can be written, and others after that."""
    application.do("observe", MODEL["policy"])
    application.do("disk", 0)
    application.do("flush")
    application.do("withdraw", "location")
    application.do("observe", MODEL["policy"])
    application.do("flush")
    life.look("while the disk was full")
    application.do("disk", -1)
    application.do("flush")
    application.do("status")
    life.look("after a consent was withdrawn")
    life.type("consent", "consent", "diagnostics", "no")


def under_other_policies(life: Life, gate: RunningGate, application: Application) -> None:
    """The policy is tightened, and loosened again; the file of the queue is damaged."""
    file = gate.tiers / f"{HOUSE}.toml"
    loose = file.read_text(encoding="utf-8")
    for version, when in (("2", "tight"), ("3", "loose")):
        file.write_text(loose, encoding="utf-8")
        if when == "tight":
            edit(file, MODELS, NO_MODELS)
        change_tier(file, version=version)
        gate.reload()
        set_up(life, gate, HOUSE)
        application.do("observe", MODEL[when])
        application.do("flush")
        life.look(f"under a {when} policy")
    queue = life.directory.queue.read_bytes()
    life.directory.queue.write_bytes(b"tango-foxtrot" + queue[13:])
    application.do("observe", MODEL["loose"])
    application.do("flush")
    life.look("after the queue was damaged")


def of_other_tiers(life: Life, gate: RunningGate, application: Application) -> None:
    """The device gets another tier, and then an agent that dies; at last its owner wants everything forgotten."""
    set_up(life, gate, "managed")
    application.do("observe", MODEL["last days"])
    application.do("flush")
    with_an_agent(life)
    set_up(life, gate, "contractor", "--on-tier-change", "discard")
    application.do("observe", MODEL["last days"])
    application.do("flush")
    life.look("of a contractor")
    life.type("show", "show", "--count", "99", "--json")
    life.type("forget", "forget")
    life.look("at the end")


def with_an_agent(life: Life) -> None:
    """What is observed goes to an agent, by its socket and as spans; it is killed, and another ends in peace."""
    (port,) = free_ports(1)
    with life.place.agent("--otlp", str(port)) as agent:
        life.send_spans(port)
        life.send_to(life.directory.socket)
        with life.application("an application beside an agent") as beside:
            beside.do("observe", MODEL["last days"])
            beside.do("flush")
        eventually(lambda: life.place.answer()["unreadable"] >= 3, "the agent has read everything")
        life.type("status", "status")
        life.look("while an agent ran")
        life.type("flush", "flush")
        life.type("a sample", "show", "--sample", "--check")
        life.type("routes", "routes", "--all")
        life.look("while an agent ran on")
        agent.kill()
        died = agent.communicate()[1]
    with life.place.agent("--otlp", str(port)) as agent:
        broken(life)
        agent.send_signal(signal.SIGHUP)
        assert agent.stderr is not None
        said = [agent.stderr.readline() for _ in range(2)]
        agent.send_signal(signal.SIGTERM)
        said.append(agent.communicate()[1])
    life.directory.spans.unlink()
    life.places["output of agents"] = f"{died}{''.join(said)}".encode()


def broken(life: Life) -> None:
    """A table of spans that cannot be used."""
    table = {"hosts": {"somewhere.example": life.plants.word("route of a table")}}
    life.directory.spans.write_text(json.dumps(table), encoding="utf-8")
    life.directory.spans.chmod(0o600)


def set_up(life: Life, gate: RunningGate, tier: str, *more: str) -> None:
    """As its owner does it, with the token of a tier; but for that of managed it is revoked soon after."""
    token = gate.tokens[tier]
    life.plants.values[f"token of {tier}"] = token
    file = gate.folder / f"{tier}.token"
    file.write_text(f"{token}\n", encoding="ascii")
    life.type(f"init for {tier}", "init", f"{gate.url}/t/{tier}", "--token-file", str(file), *more)
    if tier != "managed":
        # Else it would depend on the minute of the hour whether anything waits, so as to be looked at.
        settings = read(life.directory.settings)
        write(life.directory.settings, replace(settings, token=life.values["token"]))


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Lived:
    """The whole life of a device."""
    folder = tmp_path_factory.mktemp("gate")
    tiers = tier_files(folder / "tiers")
    copy_tier(tiers / "byod.toml", HOUSE)
    life = Life(tmp_path_factory.mktemp("life") / "device", Plants())
    with running_gate(folder, tiers=tiers, log_level="debug") as gate:
        until_the_host_dies(life, gate)
        with life.application("an application") as application:
            on_a_full_disk(life, application)
            under_other_policies(life, gate, application)
            of_other_tiers(life, gate, application)
        gate.stop()
        gates = {"disk of the gate": raw_files(gate.data), "words of the gate": gate.stdout + gate.stderr}
    return Lived(life, life.places | gates)


CARRIED, SHOWN = "identifiers.device_id", "output of a sample"
"""The managed tier keeps it under a pseudonym; so it is sent, and shown to the owner of the device before that."""


def test_no_planted_value_is_anywhere(lived: Lived) -> None:
    """No planted value is on the disk of the device but in its settings, in anything printed, or at the gate."""
    planted = lived.life.plants.values
    assert len(planted) > 100
    leaks = Scanner(planted).scan(lived.places)
    assert not [leak for leak in leaks if not (leak.place == SHOWN and leak.planted.startswith(CARRIED))]


KEPT = {
    "disk at first start": {VERSION},
    "disk under a policy": {VERSION, MODEL["policy"], SITE},
    "disk after the host died": {MODEL["policy"], SITE},
    "disk while the disk was full": {MODEL["policy"], SITE},
    "disk after a consent was withdrawn": {MODEL["policy"]},
    "disk under a tight policy": {MODEL["policy"]},
    "disk under a loose policy": {MODEL["policy"], MODEL["loose"]},
    "disk after the queue was damaged": {MODEL["policy"], MODEL["loose"]},
    "disk while an agent ran": {MODEL["policy"], MODEL["loose"]},
    "disk while an agent ran on": {MODEL["policy"], MODEL["loose"]},
    "disk of a contractor": {MODEL["last days"]},
    "disk at the end": set(),
    "disk of the gate": {VERSION},
}
"""Place -> the values that are there for good reasons, all of those that there are."""

NOT_SENT_YET = {
    "disk while an agent ran": {SITE, MODEL["last days"]},
    "disk while an agent ran on": {SITE, MODEL["last days"]},
    "disk of a contractor": {MODEL["policy"], MODEL["loose"]},
}
"""Further ones may be there for a while: the managed tier asks for no consent, and what was made for a tier that has
passed is given up when the device has asked for the policy the next time."""


@pytest.mark.parametrize("place", KEPT)
def test_what_may_be_there(lived: Lived, place: str) -> None:
    """Of what a tier keeps only that is on a disk which the policy and the consents of the moment let through."""
    sought = {value: value for value in (*MODEL.values(), SITE, VERSION)}
    found = lived.found(place, **sought)
    assert found >= KEPT[place]
    assert found <= KEPT[place] | NOT_SENT_YET.get(place, set()) | {VERSION}


def test_every_look_at_the_disk_has_its_values(lived: Lived) -> None:
    """No place of the disk was searched without something that the search has to find there, or must not."""
    assert {place for place in lived.places if place.startswith("disk")} == KEPT.keys()


def test_the_settings_hold_what_belongs_there(lived: Lived) -> None:
    """The search finds token, names and facts in the settings, which are their one place."""
    settings = (lived.life.place.path / SETTINGS).read_bytes()
    names = [*(f"identifiers.{name}" for name in IDENTIFIERS), "device.hardware_model", "device.region"]
    sought = {name: lived.life.values[name].partition(",")[0] for name in names}
    found = Scanner(sought | {"token": read(lived.life.directory.settings).token}).scan({"settings": settings})
    assert {leak.planted for leak in found if leak.form == "plain"} == {*sought, "token"}


def test_nobody_else_may_read(lived: Lived) -> None:
    """Whatever the umask, the directory can be entered and its files be read by their owner alone."""
    folder = lived.life.place.path.name
    assert len(lived.life.modes) > 10
    for when, modes in lived.life.modes.items():
        assert modes.pop(folder) == 0o700, when
        assert set(modes.values()) == {0o600}, when


def test_the_device_that_is_shown_carries_one_identifier(lived: Lived) -> None:
    """The search sees in the owner's view of a report the one identifier that its tier lets through."""
    word = lived.life.values[CARRIED]
    assert Leak(SHOWN, CARRIED, "plain") in Scanner({CARRIED: word}).scan(lived.places)


def test_what_was_taken_off_is_told_by_fields(lived: Lived) -> None:
    """Beside what waits stands what was taken off: names of fields, words for what was done, and numbers."""
    code, documents = lived.places["output of show"].split(b"\n", 1)
    waiting = json.loads(documents)
    assert (code, len(waiting) > 1) == (b"0", True)
    for report in waiting:
        assert report["report"] in FINGERPRINTS
        for one in report["taken_off"]:
            assert one["field"] in schema(report["report"]).by_path
            assert (one["action"] in ("drop", "coarsen"), type(one["values"])) == (True, int)


def test_the_applications_never_heard_of_it(lived: Lived) -> None:
    """Applications that say whatever they like, at any time, see no error, and nothing is printed or logged."""
    applications = ("a host that died", "an application", "an application beside an agent")
    for place in (f"output of {name}" for name in applications):
        lines = [line for line in lived.places[place].decode().splitlines() if not line.startswith('{"state": "on"')]
        assert (set(lines), len(lines) >= 2) == ({"done"}, True), place
    assert lived.places["output of agents"].count(b"tidegate agent: ") == 4


def test_the_life_went_everywhere(lived: Lived) -> None:
    """The disk was full, a queue was set aside, spans and datagrams were read, and the gate took reports."""
    assert b'"trouble": null' in lived.places["output of an application"]
    assert b"queue.db.damaged-1" in lived.places["disk after the queue was damaged"]
    assert b"200" in lived.places["answers to spans"]
    assert b"tidegate.managed.route_window" in lived.places["disk of the gate"]
    for name in (f"init for {HOUSE}", "init for managed", "consent", "status", "show", "a sample", "routes", "forget"):
        assert lived.places[f"output of {name}"].startswith(b"0\n"), name
