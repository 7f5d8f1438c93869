"""A deterministic simulation: the real gate, log and follower in one process, in a world that is made up from a seed.

    run -> site -> gates, follower   (real code, in simulated processes)
            |   -> disk | broker     (what is durable, and what is not yet)
            |   -> network, devices  (who posts, tries again, and knows what it was told)
            |   -> faults            (what goes wrong, and when)
            -> check                 (what must hold when the faults are over)

Read in this order:

* `loop`: virtual time. Nothing waits, threads are drawn, processes are killed and stopped between any two steps;
* `world`: the seed, the true time, the trace;
* `disk`, `broker`, `broker_clients`: the embedded log's disk and the Kafka cluster, behind the interfaces of the real
  ones (`GroupCommit`'s `Write`, `KafkaLog`'s `Producer`, `LogReader`);
* `gate`, `follower`, `rollups`: the processes, wired as `tidegate serve` wires them, over rollups in memory;
* `network`, `device`: requests and whoever sends them;
* `parts`, `site`, `faults`, `run`: all put together, disturbed, and drained;
* `check`, with `fold` and `series`: the invariants, held against code that shares nothing with the product.

docs/simulation.md says what it cannot find.
"""
