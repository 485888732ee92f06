"""What a Python program can do with a deployment of LNN: the ``lnn`` command stands on it.

cloud = Cloud("local")
run = cloud.find_run("latest")
"""

from lnn_client.cloud import Cloud, Target
from lnn_client.errors import ClientError

__all__ = ["ClientError", "Cloud", "Target"]
