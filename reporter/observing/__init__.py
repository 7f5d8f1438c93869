"""What an application says, up to the moment in which it goes on: cheap, and never an error.

    reporter.task(...) --ends--> EndedTask --put--> Inbox --taken by the worker--> closing
    reporter.sync(...) ---------> Note ------put--^

What is observed lies in memory until the worker adds it up, for a fraction of a second; nothing of it is written.
"""
