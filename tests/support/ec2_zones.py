"""A stand-in for EC2 that tells a plan which zones and endpoint services a region has.

The real provider asks it, so that what a plan does with the answers is what it does on AWS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

Zones = dict[str, str]
"""Letters of the zones, by service; ``zones`` has those of the region itself."""

DEFAULT: Zones = {"zones": "abc", "lambda": "abc", "sns": "abc", "sagemaker.api": "abc"}
REGIONS: dict[str, Zones] = {
    # An account has two of the three zones here, and "a" need not be one of them.
    "us-west-1": {"zones": "bc", "lambda": "bc", "sns": "bc", "sagemaker.api": "bc"},
    # A zone without Lambda, and another without SageMaker.
    "us-east-2": {"zones": "abc", "lambda": "bc", "sns": "abc", "sagemaker.api": "ac"},
}

ZONE = """<item><zoneName>{region}{letter}</zoneName><zoneState>available</zoneState><regionName>{region}</regionName>
<zoneId>{region}-az{letter}</zoneId><groupName>{region}</groupName><optInStatus>opt-in-not-required</optInStatus></item>"""
ZONES = """<DescribeAvailabilityZonesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>
<availabilityZoneInfo>{items}</availabilityZoneInfo></DescribeAvailabilityZonesResponse>"""
SERVICE = """<DescribeVpcEndpointServicesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>1</requestId>
<serviceNameSet><item>{name}</item></serviceNameSet><serviceDetailSet><item><serviceName>{name}</serviceName>
<serviceId>vpce-svc-1</serviceId><serviceType><item><serviceType>Interface</serviceType></item></serviceType>
<availabilityZoneSet>{items}</availabilityZoneSet><owner>amazon</owner><serviceRegion>{region}</serviceRegion>
<vpcEndpointPolicySupported>true</vpcEndpointPolicySupported></item></serviceDetailSet></DescribeVpcEndpointServicesResponse>"""


def filtered(form: dict[str, list[str]], name: str) -> set[str]:
    """The values of a request's filter."""
    (filter_,) = [key.removesuffix(".Name") for key, values in form.items() if values == [name]]
    return {values[0] for key, values in form.items() if key.startswith(f"{filter_}.Value.")}


class Ec2(BaseHTTPRequestHandler):
    """Answers the two questions that a plan asks; the region is in the request's signature."""

    regions = REGIONS

    def do_POST(self) -> None:
        """Answer one request."""
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        (region,) = re.findall(r"Credential=[^/]+/\d+/([^/]+)/ec2/", self.headers["Authorization"])
        zones = self.regions.get(region, DEFAULT)
        match form["Action"][0]:
            case "DescribeAvailabilityZones":
                wanted = filtered(form, "zone-name")
                found = [letter for letter in zones["zones"] if f"{region}{letter}" in wanted]
                items = "".join(ZONE.format(region=region, letter=letter) for letter in found)
                self.answer(ZONES.format(items=items))
            case "DescribeVpcEndpointServices":
                name = form["ServiceName.1"][0]
                letters = zones[name.removeprefix(f"com.amazonaws.{region}.")]
                items = "".join(f"<item>{region}{letter}</item>" for letter in letters)
                self.answer(SERVICE.format(name=escape(name), region=region, items=items))
            case action:
                self.send_error(400, f"a plan asks for {action}")

    def answer(self, body: str) -> None:
        """Send XML."""
        data = body.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 (the base class's name)
        """Keep quiet."""


@contextmanager
def answering(regions: dict[str, Zones] = REGIONS) -> Iterator[str]:
    """The address of an EC2 whose regions have these zones."""
    handler = type("Ec2", (Ec2,), {"regions": regions})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
