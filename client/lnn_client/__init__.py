"""What a Python program can do with a deployment of LNN: the ``lnn`` command stands on it."""
