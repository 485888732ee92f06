"""The ``lnn`` command: train, watch and use networks that live on AWS Lambda."""
