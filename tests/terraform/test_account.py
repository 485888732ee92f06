"""The provider itself refuses credentials of another account than the one that is given."""

from __future__ import annotations

import http.server
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import tftest

from support.terraform_plans import ACCOUNT, CONFIGURATION

OTHER_ACCOUNT = "210987654321"
CALLER = f"""<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>
<Arn>arn:aws:iam::{OTHER_ACCOUNT}:user/ada</Arn><UserId>AIDA</UserId><Account>{OTHER_ACCOUNT}</Account>
</GetCallerIdentityResult></GetCallerIdentityResponse>"""


@pytest.fixture
def identity_service() -> Iterator[str]:
    """The address of an STS whose callers are all of OTHER_ACCOUNT."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Type", "text/xml")
            self.end_headers()
            self.wfile.write(CALLER.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("given", "refused"), [(ACCOUNT, True), (OTHER_ACCOUNT, False)])
def test_credentials_of_another_account_than_the_given_one_are_refused(
    given: str, refused: bool, identity_service: str, terraform: tftest.TerraformTest, tmp_path: Path
) -> None:
    for name in ("providers.tf", "variables.tf", "versions.tf", ".terraform.lock.hcl"):
        shutil.copy(CONFIGURATION / name, tmp_path)
    # What the variables' own rules name beside the variables.
    named = "locals {\n  longest_invocation = 900\n  predictions_at_once = 0\n}\n"
    (tmp_path / "main.tf").write_text('data "aws_caller_identity" "current" {}\n' + named)
    (tmp_path / ".terraform").symlink_to(Path(terraform.tfdir) / ".terraform")  # the provider, initialized once
    environment = terraform.env | {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "secret"}
    environment |= {"AWS_ENDPOINT_URL_STS": identity_service, "AWS_EC2_METADATA_DISABLED": "true"}
    command = ["terraform", "plan", "-no-color", "-input=false", "-lock=false", f"-var=account_id={given}"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert bool(done.returncode) is refused, done.stderr
    if refused:
        assert re.search(rf"AWS account ID not allowed: {OTHER_ACCOUNT}", done.stderr), done.stderr
