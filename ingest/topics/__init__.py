"""Kafka topics as code: those that the policies ask for, against those that a cluster has."""
