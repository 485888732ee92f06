"""The archives of a deployment: the functions, their layer, the notebook instance's bundle."""
