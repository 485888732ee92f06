"""``lnn predict``: which class a trained network sees in a picture."""

from pathlib import Path
from typing import Annotated

import typer

from lnn_cli.options import JsonOption, PrefixOption, RegionOption, TargetOption, WhiteOption, connect
from lnn_cli.ui.console import note, print_json, print_table, share
from lnn_client.cloud import Target


def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Pictures of any size and format.")],
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL|RUN|FILE",
            help="A run, `latest`, a registered model, `production`, `staging`, or a local params.h5.",
        ),
    ] = "latest",
    invert: Annotated[
        bool, typer.Option("--invert", help="Swap dark and light: the digits were learned white on black.")
    ] = False,
    white: WhiteOption = None,
    as_json: JsonOption = False,
    target: TargetOption = Target.LOCAL,
    prefix: PrefixOption = None,
    region: RegionOption = None,
) -> None:
    """Name the class of each picture, with its probability.

    Example: lnn predict my-cat.jpg --model latest
    """
    from lnn_client.models import load_model, predict_pictures

    network = load_model(model, lambda: connect(target, prefix, region))
    predictions = predict_pictures(network, images, invert=invert, white=white)
    if as_json:
        print_json([{"image": str(image)} | said.to_json() for image, said in zip(images, predictions, strict=True)])
        return
    rows = [
        [str(image), said.classes[said.index], share(said.probabilities[said.index])]
        for image, said in zip(images, predictions, strict=True)
    ]
    print_table(("image", "class", "probability"), rows, right=("probability",))
    note(f"model of run {network.run_id}")
