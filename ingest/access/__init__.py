"""Who may post, and how much: tokens as operators keep them and as the gate looks them up, and the limits of a tier."""
