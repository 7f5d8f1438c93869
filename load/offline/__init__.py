"""Devices that are offline for up to thirty days, and whether their reports add up to what was true all the same.

    fleet -> device -> wire -> gate        each device lives its days twice: often offline, and always online
                 |        |
               disk     what arrived -> replay, three times, in random order -> log -> rollups
                                                                                          |
                                          comparison: always-online rollups, plain truth

The library's own work, queue and sender run here, on a clock that nobody waits for; the gate's core, the log, the
follower and the rollups are the real ones. Read in this order:

* `plan`: how large, from which seed, and who is offline when;
* `fleet`: the tasks and files of some devices, and what they let out of them;
* `clock`, `wire`: virtual time, and the network between a device and the gate's core;
* `device`: one device from its set-up until its queue is empty; `disk`: what must not be found there;
* `lives`: a part of the fleet, in a process of its own;
* `replay`, `comparison`, `run`: everything that arrived, thrice, and what it comes to.
"""
