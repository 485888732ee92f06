"""Real processes, a real Redis, the local cloud, and everything that may go wrong between them."""
