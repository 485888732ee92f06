"""Runs ``python -m lnn_tools.aws_deployment check|plan|deploy|destroy``."""

import sys

from lnn_tools.aws_deployment.commands import main

sys.exit(main())
