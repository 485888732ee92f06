"""The ways to run a training: one mathematics (``lnn.network``), run in different places."""
