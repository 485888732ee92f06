"""LNN: a neural network that trains on AWS Lambda."""
