"""RegisterLambda: an uploaded model goes into staging."""
