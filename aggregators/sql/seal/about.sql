-- Parameter: the segment that the next rows belong to.
UPDATE about SET segment = ?
