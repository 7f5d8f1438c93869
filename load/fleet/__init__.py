"""A fleet whose truth is known: made up from one seed, posted to a gate, and added up a second time beside it."""
