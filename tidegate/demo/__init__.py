"""What `tidegate demo` does: the whole product on one machine, on a fleet whose true answers are known."""
