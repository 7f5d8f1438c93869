"""What the device's library costs, and what it costs to learn the same by one OpenTelemetry span for each task.

* `start_once`, `tasks_once`: a process that begins, and one that runs many tasks; `peak`: how much memory they had;
* `days_of_reports`, `days_of_spans`: the same devices' same days, as the library tells them and as spans do;
* `counting`: what goes over the wire, counted between the two ends; `sink`: where spans arrive;
* `learned`: that both ends know the same answers.

`load.agent_part` puts it together, `figures` shows it; docs/measurements.md says what either side can tell and what it
cannot.
"""
