"""A real Apache Kafka to develop and test with, without containers: its jars from Maven Central, run by Java.

    with cluster(tmp_path, brokers=3) as kafka:
        ...

`python -m load.broker` (`make kafka`) runs one for a person.
"""

from load.broker.distribution import NoBroker, jars
from load.broker.node import Broker, BrokerFailedError
from load.broker.running import Cluster, cluster
from load.broker.security import (
    PLAINTEXT,
    SASL_PLAINTEXT,
    SASL_SSL,
    SSL,
    SSL_CLIENT_CERTIFICATES,
    Security,
)

__all__ = [
    "PLAINTEXT",
    "SASL_PLAINTEXT",
    "SASL_SSL",
    "SSL",
    "SSL_CLIENT_CERTIFICATES",
    "Broker",
    "BrokerFailedError",
    "Cluster",
    "NoBroker",
    "Security",
    "cluster",
    "jars",
]
