"""``hashnet export``: a trained model for other runtimes, checked before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hashnet.cli.options import ImageRootOption, JsonOption, ProgressOption

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hashnet.datasets import ImageSet
    from hashnet.encoding import Encoder
    from hashnet.models.export_check import ExportCheck
    from hashnet.progress import Progress


def export(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Model directory that hashnet train wrote.")],
    *,
    onnx: Annotated[
        Path | None, typer.Option("--onnx", metavar="OUT.onnx", help="ONNX file to write, for any runtime.")
    ] = None,
    torch: Annotated[
        Path | None,
        typer.Option("--torch", metavar="OUT.pt2", help="torch.export file to write, for torch alone."),
    ] = None,
    check: Annotated[
        str,
        typer.Option(
            "--check",
            metavar="DATA",
            help="Images to compare codes on: digits (embedded), a folder, a list or a pack.",
        ),
    ] = "digits",
    images: Annotated[
        int, typer.Option("--images", min=1, help="How many of them, spread over the data.")
    ] = 1000,
    allow_noise_bits: Annotated[
        int,
        typer.Option(
            "--allow-noise-bits",
            min=0,
            help="Accept so many differing bits, if all have |z| < 1e-5, where the sign is rounding noise.",
        ),
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    image_root: ImageRootOption = None,
    json: JsonOption = False,
    progress: ProgressOption = "auto",
) -> None:
    """Export a model as ONNX or by torch.export: pixels in, packed codes out, equal to the model's.

    The file takes uint8 RGB pictures, resized and cropped, and gives packed codes and z; normalisation, sign
    and packing are inside, and what is left to do stands in its metadata. Its codes are first compared with
    those of the model: if one bit differs nothing is written, and the exit code is 1.
    """
    from hashnet.cli.output import print_json, print_pairs
    from hashnet.datasets import open_images
    from hashnet.encoding import Encoder
    from hashnet.files import write_atomically
    from hashnet.models.export import OPSET, demand_onnx, describe_export, export_onnx, export_torch
    from hashnet.models.export_check import check_graph, onnx_graph, torch_graph
    from hashnet.progress import make_progress

    targets = [path for path in (onnx, torch) if path is not None]
    if not targets:
        raise ValueError("give --onnx OUT.onnx or --torch OUT.pt2, or both")
    for target in targets:
        if target.exists() and not overwrite:
            raise FileExistsError(f"{target} exists; choose another name, or replace it with --overwrite")
    if onnx is not None:
        demand_onnx()
    watched = make_progress(progress)
    encoder = Encoder.load(model)
    opened = open_images(check, image_root=image_root)
    pixels, z = check_data(encoder, opened, images, progress=watched)
    found: dict[str, dict[str, Any]] = {}
    for path, make, load, runtime in (
        (onnx, export_onnx, onnx_graph, "onnxruntime"),
        (torch, export_torch, torch_graph, "torch.export"),
    ):
        if path is None:
            continue
        watched.start(f"export {path.name}", None)
        file = make(encoder.model)
        watched.start(f"check {path.name}", None)
        checked = check_graph(load(file), pixels, z, runtime=runtime)
        watched.finish()
        demand_equal(checked, path, allow_noise_bits=allow_noise_bits)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, file)
        found[str(path)] = {**checked.to_json(), "bytes": len(file)}
    if json:
        facts = describe_export(encoder.model)
        print_json({"model": model, "opset": OPSET, "data": opened.source, "files": found, "facts": facts})
        return
    for name, facts in found.items():
        print_pairs({"checked on": opened.source, **_in_words(facts)}, title=f"exported {name}")
    print_pairs({"input": describe_export(encoder.model)["hashnet.input"]})
    print_pairs({"output": describe_export(encoder.model)["hashnet.output"]})


def check_data(
    encoder: Encoder, images: ImageSet, wanted: int, *, progress: Progress
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return pixels of up to ``wanted`` readable images, spread over the data, and the model's z of them."""
    import numpy as np

    from hashnet.errors import UnreadableImageError

    size, step = encoder.model.preprocessing.size, encoder.batch_size
    rows = np.unique(np.linspace(0, len(images) - 1, min(wanted, len(images))).astype(np.int64))
    progress.start("codes of the model", len(rows))
    pixels: list[NDArray[np.uint8]] = []
    for row in rows.tolist():
        try:
            pixels.append(encoder.model.preprocessing.pixels(images.load(row)))
        except UnreadableImageError:
            continue
    if not pixels:
        raise ValueError(f"none of {len(rows)} images of {images.source} can be read; check with others")
    stacked = np.stack(pixels).reshape(-1, size, size, 3)
    parts = []
    for first in range(0, len(stacked), step):
        parts.append(encoder.compute(stacked[first : first + step]))
        progress.advance(len(parts[-1]))
    progress.finish()
    return stacked, np.concatenate(parts)


def demand_equal(checked: ExportCheck, path: Path, *, allow_noise_bits: int) -> None:
    """Raise HashnetError unless the codes are identical, or differ in no more noise than was allowed."""
    from hashnet.errors import HashnetError
    from hashnet.models.export_check import NOISE

    if checked.identical:
        return
    if checked.noise_bits == checked.differing_bits <= allow_noise_bits:
        return
    n = checked.differing_bits
    remedy = (
        f"all of them have |z| < {NOISE:g}, which is rounding noise: --allow-noise-bits {n} accepts them"
        if checked.noise_bits == n
        else f"{n - checked.noise_bits} of them have |z| >= {NOISE:g}, which is no rounding noise: "
        f"{checked.runtime} computes something else"
    )
    raise HashnetError(
        f"{path} was not written: in {checked.runtime} {n:,} bits of {checked.n_images * checked.n_bits:,} "
        f"differ from the model, in {checked.differing_images:,} of {checked.n_images:,} images; {remedy}"
    )


def _in_words(facts: dict[str, Any]) -> dict[str, Any]:
    return {
        "runtime": facts["runtime"],
        "images": facts["n_images"],
        "differing bits": facts["differing_bits"],
        "images with |z| < 1e-5": facts["near_zero_images"],
        "largest deviation of z": facts["max_deviation"],
        "bytes": facts["bytes"],
    }
