"""Codes of real data: SimHash of text lines, dHash and HashNet codes of images.

    python -m benchmarks.real_workloads simhash --output DIR [--text FOLDER ...]
    python -m benchmarks.real_workloads learned --output DIR --name tiny48 --bits 48 \\
        --data tinyimagenet100_jpeg.npz --weights mobilenet_v2_imagenet_fp16.safetensors
    python -m benchmarks.real_workloads dhash --output DIR --data tinyimagenet100_jpeg.npz cifar10_jpeg.npz

Each writes ``NAME.codes.npy``, ``NAME.queries.npy`` and ``NAME.json`` (where they come from) into DIR, which
``bench_real`` reads. Codes of images are stored once an image; ``load`` repeats them with small noise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.workloads import Workload
from hashnet.codes import Codes
from hashnet.progress import ProgressMode

SEED = 1
GRAM = 4
# A line of fewer characters says little; what lies behind the last gram of a longer one is left out.
LEAST_CHARACTERS = 12
MOST_GRAMS = 255
# Files that begin with a zero byte somewhere here are no text; larger ones are generated tables.
SNIFFED_BYTES = 8192
MOST_FILE_BYTES = 8 << 20
# Text hashed at once: about 100 bytes of working memory a character.
_TEXT_AT_ONCE = 4 << 20
# Rows repeated and drawn at once: bounds the working memory of the noise.
_ROWS_AT_ONCE = 1 << 18


def load(folder: Path, name: str, *, n: int) -> Workload:
    """Return a prepared workload; codes of images are repeated up to ``n`` rows, text keeps at most ``n``."""
    about = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    codes = np.load(folder / f"{name}.codes.npy")
    queries = np.load(folder / f"{name}.queries.npy")
    if about["kind"] != "simhash":
        codes = blown_up(codes, n, seed=SEED)
        queries = with_noise(
            queries[np.random.default_rng(SEED + 1).permutation(len(queries))], seed=SEED + 2
        )
    return Workload(name, codes.shape[1] * 8, SEED, codes[:n], queries)


def blown_up(codes: Codes, n: int, *, seed: int) -> Codes:
    """Return ``n`` rows: random rows of ``codes``, half unchanged, half with noise (``with_noise``)."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n, codes.shape[1]), dtype=np.uint8)
    for first in range(0, n, _ROWS_AT_ONCE):
        part = rows[first : first + _ROWS_AT_ONCE]
        part[:] = with_noise(codes[rng.integers(0, len(codes), len(part))], seed=seed + 1 + first)
    return rows


def with_noise(codes: Codes, *, seed: int, flip_probability: float = 0.02, share: float = 0.5) -> Codes:
    """Return ``codes`` with every bit of a random ``share`` of the rows flipped with ``flip_probability``."""
    rng = np.random.default_rng(seed)
    flips = rng.random((len(codes), codes.shape[1] * 8), dtype=np.float32) < flip_probability
    flips &= rng.random((len(codes), 1)) < share
    return codes ^ np.packbits(flips, axis=1)


def text_folders() -> list[Path]:
    """Return the standard library of this Python and the folder that its packages are installed in."""
    return [Path(sysconfig.get_paths()["stdlib"]), Path(np.__file__).resolve().parents[1]]


def text_lines(folders: list[Path]) -> Iterator[bytes]:
    """Yield the lines of every text file below ``folders``, stripped, without the short ones."""
    for folder in folders:
        for root, names, files in os.walk(folder):
            names.sort()
            for name in sorted(files):
                path = Path(root, name)
                try:
                    if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST_FILE_BYTES:
                        continue
                    text = path.read_bytes()
                except OSError:
                    continue
                if b"\0" in text[:SNIFFED_BYTES]:
                    continue
                for line in text.splitlines():
                    stripped = line.strip()
                    if len(stripped) >= LEAST_CHARACTERS:
                        yield stripped[: MOST_GRAMS + GRAM - 1]


def simhash(lines: list[bytes]) -> Codes:
    """Return the 64-bit SimHash of lines (Charikar 2002): the majority, bit by bit, of their grams' hashes.

    A line has from 1 to ``MOST_GRAMS`` grams of ``GRAM`` bytes. Shape (n, 8); ties give 0.
    """
    text = np.frombuffer(b"".join(lines), dtype=np.uint8)
    lengths = np.fromiter(map(len, lines), dtype=np.int64, count=len(lines))
    begins = np.cumsum(lengths) - lengths
    n_grams = lengths - (GRAM - 1)
    hashes = _mixed(np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(text, GRAM)))
    codes = np.empty((len(lines), 8), dtype=np.uint8)
    for byte in range(8):
        # Eight counters of 8 bits in a word: a line has at most 255 grams, so none of its sums carries, and
        # the difference of two running sums is exact although the sums themselves wrap.
        sums = np.zeros(len(hashes) + 1, dtype=np.uint64)
        np.cumsum(_SPREAD[hashes.view(np.uint8).reshape(-1, 8)[:, byte]], out=sums[1:])
        ones = (sums[begins + n_grams] - sums[begins]).view(np.uint8).reshape(-1, 8)
        codes[:, byte] = np.packbits(2 * ones.astype(np.int16) > n_grams[:, None], axis=1)[:, 0]
    return codes


# Byte value -> its bits, one in each byte of a word.
_SPREAD = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).view(np.uint64)[:, 0].copy()


def _mixed(grams: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return a 64-bit hash of each gram: the finaliser of splitmix64."""
    value = grams.view(np.uint32)[:, 0].astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = value ^ (value >> np.uint64(31))
    return mixed


def simhash_workload(folders: list[Path], *, n_queries: int, most: int) -> tuple[Codes, Codes]:
    """Return the codes of the lines below ``folders`` and of held-out lines, both in random order."""
    parts: list[Codes] = []
    lines: list[bytes] = []
    n, size = 0, 0
    for line in text_lines(folders):
        lines.append(line)
        size += len(line)
        if size >= _TEXT_AT_ONCE:
            parts.append(simhash(lines))
            n += len(lines)
            print(f"\r{n:,} lines", end="", file=sys.stderr, flush=True)
            lines, size = [], 0
            if n >= most:
                break
    if lines:
        parts.append(simhash(lines))
    if not parts:
        raise ValueError(f"no text in {', '.join(map(str, folders))}; name other folders with --text")
    codes = np.concatenate(parts)
    order = np.random.default_rng(SEED).permutation(len(codes))
    return codes[order[n_queries:]], codes[order[:n_queries]]


def learned_workload(
    data: Path, weights: Path, n_bits: int, *, models: Path, progress: ProgressMode
) -> tuple[Codes, Codes]:
    """Return the codes of split 0 (trained on, the database) and split 1 (queries) of an image pack.

    A head on a frozen MobileNetV2 is trained with the defaults; the model stays in ``models``.
    """
    from hashnet.datasets import open_images, split
    from hashnet.encoding import Encoder
    from hashnet.progress import make_progress
    from hashnet.training import TrainConfig, train

    images = open_images(data)
    parts = split(images)
    config = TrainConfig(
        backbone="mobilenet_v2",
        n_bits=n_bits,
        weights=str(weights),
        freeze_backbone=True,
        same_padding=True,
        seed=SEED,
    )
    model = models / f"{data.stem}-{n_bits}"
    shown = make_progress(progress)
    train(images, parts.database, config, output=model, resume=True, progress=shown)
    encoder = Encoder.load(model)
    return (
        encoder.encode_image_set(images, parts.database).codes,
        encoder.encode_image_set(images, parts.query).codes,
    )


def dhash_workload(packs: list[Path]) -> tuple[Codes, Codes]:
    """Return the 64-bit difference hash of the images of packs with a split: database (0) and queries (1).

    A bit is 1 where a pixel of the 8 x 9 grey image is darker than its right neighbour, so that neighbouring
    bits depend on each other.
    """
    from PIL import Image

    from hashnet.datasets import open_images, split

    codes: list[Codes] = []
    queries: list[Codes] = []
    for pack in packs:
        images = open_images(pack)
        for rows, into in ((split(images).database, codes), (split(images).query, queries)):
            pixels = np.stack(
                [
                    np.asarray(images.load(int(row)).convert("L").resize((9, 8), Image.Resampling.BILINEAR))
                    for row in rows
                ]
            )
            into.append(np.packbits(pixels[:, :, 1:] > pixels[:, :, :-1], axis=2).reshape(len(rows), 8))
    return np.concatenate(codes), np.concatenate(queries)


def described(codes: Codes) -> dict[str, Any]:
    """Return what decides how hard ``codes`` are to search: repetition, balance and dependence of the bits.

    ``pair_correlation`` is the root mean square over pairs of bits, ``effective_bits`` the number of fair,
    independent bits whose pairs would be equally spread: mean^2 / variance of the distance of a random pair.
    """
    _, runs = np.unique(codes, axis=0, return_counts=True)
    rng = np.random.default_rng(SEED)
    sample = np.unpackbits(codes[rng.integers(0, len(codes), min(len(codes), 100_000))], axis=1)
    ones = sample.mean(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.nan_to_num(ones * np.log2(ones)) - np.nan_to_num((1 - ones) * np.log2(1 - ones))
        correlation = np.nan_to_num(np.corrcoef(sample.astype(np.float32), rowvar=False))
    n_bits = sample.shape[1]
    apart = (sample[rng.permutation(len(sample))] ^ sample).sum(axis=1)
    between = correlation[np.triu_indices(n_bits, 1)]
    return {
        "n": len(codes),
        "distinct": len(runs),
        "mean_run": round(len(codes) / len(runs), 2),
        "longest_run": int(runs.max()),
        "rows_in_runs_of_100": round(float(runs[runs >= 100].sum() / len(codes)), 4),
        "mean_bit_entropy": round(float(entropy.mean()), 4),
        "least_bit_entropy": round(float(entropy.min()), 4),
        "pair_correlation": round(float(np.sqrt((between**2).mean())), 4),
        "largest_pair_correlation": round(float(np.abs(between).max()), 4),
        "mean_distance": round(float(apart.mean()), 2),
        "effective_bits": round(float(apart.mean() ** 2 / apart.var()), 1),
    }


def store(folder: Path, name: str, codes: Codes, queries: Codes, about: dict[str, Any]) -> None:
    """Write a prepared workload."""
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / f"{name}.codes.npy", codes)
    np.save(folder / f"{name}.queries.npy", queries)
    about = {**about, "codes": described(codes), "n_queries": len(queries)}
    (folder / f"{name}.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(about, indent=1))


def main() -> None:
    """Prepare one workload."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(dest="kind", required=True)
    text = commands.add_parser("simhash", help="SimHash-64 of the lines of text files")
    text.add_argument("--text", type=Path, nargs="+", default=None, help="folders; default: this Python's")
    text.add_argument("--most", type=float, default=1e7, help="lines, at most")
    text.add_argument("--queries", type=int, default=2000, help="lines held out")
    text.add_argument("--name", default="simhash64")
    learned = commands.add_parser("learned", help="HashNet codes of an image pack with a split")
    learned.add_argument("--data", type=Path, required=True, help="image pack with labels and split")
    learned.add_argument("--weights", type=Path, required=True, help="MobileNetV2 weights, .safetensors")
    learned.add_argument("--bits", type=int, default=48)
    learned.add_argument("--name", default=None)
    learned.add_argument("--progress", choices=("auto", "bar", "json", "none"), default="auto")
    images = commands.add_parser("dhash", help="difference hash of the images of packs with a split")
    images.add_argument("--data", type=Path, nargs="+", required=True, help="image packs with a split")
    images.add_argument("--name", default="dhash64")
    for command in (text, learned, images):
        command.add_argument("--output", type=Path, required=True, help="folder for the codes")
    arguments = parser.parse_args()
    if arguments.kind == "simhash":
        codes, queries = simhash_workload(
            arguments.text or text_folders(), n_queries=arguments.queries, most=int(arguments.most)
        )
        about = {"kind": "simhash", "grams": f"{GRAM} bytes", "least_characters": LEAST_CHARACTERS}
        store(arguments.output, arguments.name, codes, queries, about)
    elif arguments.kind == "dhash":
        codes, queries = dhash_workload(arguments.data)
        about = {"kind": "dhash", "data": [pack.name for pack in arguments.data]}
        store(arguments.output, arguments.name, codes, queries, about)
    else:
        codes, queries = learned_workload(
            arguments.data,
            arguments.weights,
            arguments.bits,
            models=arguments.output / "models",
            progress=arguments.progress,
        )
        about = {"kind": "learned", "data": arguments.data.name, "model": "HashNet, frozen MobileNetV2"}
        name = arguments.name or f"{arguments.data.stem}-{arguments.bits}"
        store(arguments.output, name, codes, queries, about)


if __name__ == "__main__":
    main()
