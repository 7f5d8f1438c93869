"""Values that anyone can read: ids of schemas, and the schema registry that is asked for them."""
