"""The programs that build, deploy, document and check this repository, each run as ``python -m lnn_tools.NAME``."""
