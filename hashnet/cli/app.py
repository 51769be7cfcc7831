"""The command line: what ``hashnet --help`` lists, in the order in which one uses it."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Annotated

import typer

from hashnet.cli import guard
from hashnet.cli.add import add
from hashnet.cli.build import build
from hashnet.cli.check import check
from hashnet.cli.compare import compare
from hashnet.cli.crosscheck import crosscheck
from hashnet.cli.demo import demo
from hashnet.cli.encode import encode
from hashnet.cli.evaluate import evaluate
from hashnet.cli.export import export
from hashnet.cli.guard import guarded
from hashnet.cli.hash import hash_images
from hashnet.cli.info import info
from hashnet.cli.options import examples
from hashnet.cli.plan import plan
from hashnet.cli.protocols import protocol
from hashnet.cli.search import search
from hashnet.cli.serve import serve
from hashnet.cli.train import train

app = typer.Typer(
    name="hashnet",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Results go to stdout, logs and progress to stderr. Exit codes: 0 ok, 1 failure, 2 usage, "
    "3 data damaged, 4 partial answer.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from hashnet import __version__

        typer.echo(f"hashnet {__version__}")
        raise typer.Exit


@app.callback()
def hashnet(
    *,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="HASHNET_DEBUG", help="Show the traceback of an error and logs.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Learn short binary codes from images and search millions of them exactly.

    The way through: [bold]train[/bold] a model, [bold]encode[/bold] images with it, [bold]build[/bold] an
    index, [bold]search[/bold] it. [bold]demo[/bold] does it all on an embedded data set.
    """
    guard.set_debug(debug)
    if debug:
        logging.getLogger("hashnet").setLevel(logging.DEBUG)


app.command(epilog=examples("hashnet demo --output demo"))(
    guarded(demo, resume="run it again, it starts anew")
)
app.command(
    epilog=examples(
        "hashnet train --data photos/ --backbone resnet18 --weights torchvision --bits 48 --output model",
        "hashnet train --data digits --backbone small_cnn --bits 32 --output model",
        "hashnet train --print-config > train.toml",
        "hashnet train --data photos/ --config train.toml --set ema=0.999 --output model",
    )
)(guarded(train, resume="run the same command with --resume to go on from the last checkpoint"))
app.command(
    "hash",
    epilog=examples(
        "hashnet hash cat.jpg --model model",
        "hashnet hash photos/ --model model --index photos.hnx",
        "hashnet hash photos/ --model model --query cat.jpg --html page.html",
    ),
)(guarded(hash_images, resume="run the same command again to go on; --index keeps what is done"))
app.command(epilog=examples("hashnet encode --model model --data photos/ --output codes --workers 2"))(
    guarded(encode, resume="run the same command again to go on; what is written is kept")
)
app.command(
    epilog=examples(
        "hashnet build codes --output photos.hnx --shards 2",
        "hashnet build codes.u8bin --output big.hnx --memory 8G",
        "hashnet build codes.bin --n-bits 64 --output big.hnx",
        "hashnet build codes --output big.hnx --shards 16 --workers 8 --ray auto",
    )
)(guarded(build, resume="no index was left behind; run the same command again"))
app.command(epilog=examples("hashnet add photos.hnx codes2", "hashnet add big.hnx more.u8bin"))(
    guarded(add, resume="run `hashnet info` to see what was added")
)
app.command(
    epilog=examples(
        "hashnet search photos.hnx --image cat.jpg --model model --k 10",
        "hashnet search photos.hnx --queries queries.npy --radius 4 --json",
        "hashnet search photos.hnx --queries queries.npy --radius 8 --count",
        "hashnet search big.hnx --queries million.npy --k 10 --output hits.parquet --workers 2",
    )
)(guarded(search, resume="nothing was changed, and what --output has finished is kept; run it again"))
app.command(
    epilog=examples(
        "hashnet serve photos.hnx --model model --port 8000",
        "hashnet serve photos.hnx --shards 0   # in this process, without Ray",
        "hashnet serve photos.hnx --host 0.0.0.0 --keys keys.txt",
    )
)(guarded(serve, resume="the service has ended"))
app.command(epilog=examples("hashnet info photos.hnx", "hashnet info model --json"))(guarded(info))
app.command(epilog=examples("hashnet check photos.hnx"))(guarded(check))
app.command(
    epilog=examples("hashnet protocol", "hashnet protocol coco --data lists/coco --image-root ~/coco2014")
)(guarded(protocol))
app.command(epilog=examples("hashnet evaluate --model model --data photos/ --at 1000 --report page.html"))(
    guarded(evaluate)
)
app.command(
    epilog=examples(
        "hashnet compare --data photos/ --methods lsh,itq,hashnet --bits 16,32,64 --output report",
        "hashnet compare --data digits --backbone small_cnn --weights none --output report",
    )
)(guarded(compare, resume="run the same command again to go on; what is done is kept"))
app.command(epilog=examples("hashnet crosscheck photos.hnx --sample 1000 --radius 4 --k 10"))(
    guarded(crosscheck)
)
app.command(
    epilog=examples(
        "hashnet export model --onnx model.onnx --check photos/",
        "hashnet export model --torch model.pt2",
    )
)(guarded(export))
app.command(
    epilog=examples(
        "hashnet plan --codes 1e11 --bits 64 --qps 5000 --radius 4 --replicas 2",
        "hashnet plan --codes 1e9 --k 10 --qps 200 --memory-per-node 64G --cores-per-node 8 --json",
    )
)(guarded(plan))


def main() -> None:
    """Run the command line on ``sys.argv`` and exit with its code."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="hashnet: %(message)s")
    logging.captureWarnings(capture=True)
    warnings.formatwarning = _one_line
    app()


def _one_line(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return " ".join(f"warning: {message}".split())
