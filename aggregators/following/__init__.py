"""The follower: takes from the log what is new, has it applied and sealed, and says how it stands."""
