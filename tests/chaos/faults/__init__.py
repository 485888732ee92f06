"""The table of faults."""

from chaos.faults import aws, crowds, deliveries, kills, limits, parameter_server

FAULTS = [
    *kills.FAULTS,
    *deliveries.FAULTS,
    *limits.FAULTS,
    *parameter_server.FAULTS,
    *aws.FAULTS,
    *crowds.FAULTS,
]
