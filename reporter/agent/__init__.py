"""`tidegate agent`: a device set up, looked at and looked after, and a process for applications that cannot be changed.

    init                    settings.json, the tier's policy, and what will be taken off
    run                     takes observations from applications (agent.sock) and spans (OTLP), adds up, sends
    status, show, routes    what waits, what exactly would be sent, what this device did
    consent, forget         what its owner decides

* Every command works without a running agent, on the files of the device's directory; `flush` alone needs one.
* What is printed is for the owner of the device. Nothing of it is logged: a running agent says when it begins, when it
  reads its settings again and when it ends.
* Exit codes: 0 done, 1 refused or failed, 2 wrong usage.
"""
