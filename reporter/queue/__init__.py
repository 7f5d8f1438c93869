"""What waits on a device until a gate has it: one SQLite file, bounded, shared by all processes of the device.

    a window closes --put--> reports --due--> Waiting --sent, judged--> settle

* Only stripped reports come in, and no identifier is in them (`reporter.strip`, `reporter.messages`).
* All reports of a closed window, the presence flags behind them and the removal of its open marker are one transaction.
* What is given up is counted, by cause; nothing vanishes. A process that was killed leaves its open marker behind, and
  whoever looks next counts that window as lost.
* A file that is damaged is set aside, and a new one begun. A row that is damaged is given up by itself.
* What is deleted is overwritten. A report that rests on a consent is gone from the disk once that is withdrawn.
"""
