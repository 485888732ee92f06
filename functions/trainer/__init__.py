"""TrainerLambda: the state machine of a run."""
