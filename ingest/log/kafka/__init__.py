"""The log in a Kafka cluster: `log.py` is read first. Acknowledged is what every replica in sync has."""
