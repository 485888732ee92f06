"""The table of faults."""

from chaos.faults import aws, clocks, crowds, deliveries, kills, limits, parameter_server, people, returns

FAULTS = [
    *kills.FAULTS,
    *deliveries.FAULTS,
    *limits.FAULTS,
    *parameter_server.FAULTS,
    *aws.FAULTS,
    *crowds.FAULTS,
    *returns.FAULTS,
    *clocks.FAULTS,
    *people.FAULTS,
]
