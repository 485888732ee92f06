"""Checks of the IAM policies and of the pinned requirements, beside what linters check."""
