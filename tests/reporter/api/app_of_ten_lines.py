"""An application as docs/reporter.md has it: it reports where its settings say, and does what it does anyway."""

import reporter

ROUTES = ["on_device"] * 8 + ["managed_cloud"] * 2

with reporter.session() as session:
    for route in ROUTES:
        with session.task(data_class="internal", task_kind="interactive", planned="on_device") as task:
            if route != "on_device":
                task.fell_back("capacity", consent="granted", disclosed=True)
            task.ran_on(route, model="pocket-chat", version="2.1")
            task.tokens(read=120, written=40)
