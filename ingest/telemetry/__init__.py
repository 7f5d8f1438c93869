"""What the gate says about itself: counts, metrics, log lines, spans, and the outcomes that it appends to the log."""
