"""The commands of ``lnn``: a module for each, named after it."""
