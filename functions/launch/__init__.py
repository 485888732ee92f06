"""LaunchLambda: an upload becomes a run."""
