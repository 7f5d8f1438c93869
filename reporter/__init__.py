"""What runs on a device: tasks are added up into windows, stripped by the tier's policy, queued and sent.

    import reporter

    with reporter.task(data_class="internal", planned="on_device") as task:
        task.ran_on("on_device", model="pocket-chat", version="2.1")

The functions here are those of one `Reporter` for the whole process, which goes by `settings.json` unless `configure`
is called; without either they do nothing. docs/reporter.md is their manual. They never raise.
"""

from reporter.reporter import Reporter

_ours = Reporter()

configure = _ours.configure
task = _ours.task
session = _ours.session
take = _ours.take
sync = _ours.sync
offline_queue = _ours.offline_queue
path_probe = _ours.path_probe
capability_probe = _ours.capability_probe
inventory = _ours.inventory
health = _ours.health
violation = _ours.violation
consent = _ours.consent
flush = _ours.flush
status = _ours.status
close = _ours.close

__all__ = [
    "Reporter", "capability_probe", "close", "configure", "consent", "flush", "health", "inventory", "offline_queue",
    "path_probe", "session", "status", "sync", "take", "task", "violation",
]  # fmt: skip
