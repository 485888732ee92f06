"""What scripts/made_docs.py writes into docs/: the picture of the flow, the commands, the parameters."""
