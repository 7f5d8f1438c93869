"""What stands between the log and an answer: rollups, and what is published of them.

    stored entries --read--> stripped records --load--> rollups --publish--> cubes --ask--> answers

Read `rollups` first: one transaction takes a batch of entries into the tables of `sql/tables.sql`. `stripped` reads an
entry, `arrow` and `load` bring records into the tables through `sql/load/`, `seen` knows which were counted already,
and `database` is all that touches the file. Nothing here can reach a device's report: the log holds stripped ones.
"""
