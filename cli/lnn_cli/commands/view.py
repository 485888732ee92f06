"""``lnn view``: a run's network in a browser."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from lnn_cli.options import (
    ForceOption,
    HtmlOption,
    OpenOption,
    PortOption,
    PrefixOption,
    RegionOption,
    TargetOption,
    connect,
)
from lnn_cli.ui.completion import run_ids
from lnn_cli.ui.console import note, say
from lnn_cli.ui.errors import CliError
from lnn_cli.ui.files import refuse_to_replace, write_whole
from lnn_cli.ui.loopback import cannot_listen, serve
from lnn_client.cloud import LATEST, Target


def view(
    run: Annotated[
        str, typer.Argument(metavar="[RUN]", help="Run id, the start of one, or `latest`.", autocompletion=run_ids)
    ] = LATEST,
    html: HtmlOption = None,
    force: ForceOption = False,
    port: PortOption = 0,
    open_browser: OpenOption = True,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Show a run's network, neuron by neuron, in a browser, until Ctrl-C.

    Step through its epochs, choose an example, look into a neuron, switch it
    off. A run that is training is followed; one that waits at each step goes on
    with the page's Next. The page is served to this machine alone; it reads what
    the run has stored, and writes nothing else. --html saves the page with
    its epochs as one file, without what needs the server.

    Example: lnn view latest
    """
    if html is not None:
        refuse_to_replace(html, force=force)
    from lnn_cli.view.saved import saved_view
    from lnn_cli.view.server import ViewServer
    from lnn_client.inspection import Inspection
    from lnn_client.invocations import Feed

    cloud = connect(target, prefix, region)
    found = cloud.find_run(run)
    inspection = Inspection(cloud, found)
    if html is not None:
        say(write_whole(html, saved_view(inspection, now=time.time()).encode()))
        return
    try:
        server = ViewServer(inspection, port, Feed(cloud, found.run_id) if found.records_invocations else None)
    except OSError as error:
        raise CliError(cannot_listen(port, error)) from None
    say(server.address)
    note(f"shows run {found.run_id}; Ctrl-C ends it")
    serve(server, server.address, open_browser=open_browser)
