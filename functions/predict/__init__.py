"""PredictLambda: what a trained network sees, over HTTP."""
