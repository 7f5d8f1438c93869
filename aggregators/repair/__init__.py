"""What a person has done by hand: rollups made anew, and history that the log has lost accepted as gone."""
