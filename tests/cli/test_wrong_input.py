"""Wrong input to each command: its exit code, a message with value and remedy, nothing changed on disk."""

import shutil

import numpy as np
import pytest


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def place(tmp_path, tiny_model, codes, index, queries, picture, monkeypatch):
    """A working folder with a copy of everything, by names that the cases use."""
    shutil.copytree(tiny_model, tmp_path / "model")
    shutil.copytree(codes, tmp_path / "codes")
    shutil.copytree(index, tmp_path / "a.hnx")
    shutil.copy(queries, tmp_path / "q.npy")
    shutil.copy(picture, tmp_path / "five.png")
    np.save(tmp_path / "wide.npy", np.zeros((2, 5), dtype=np.uint8))
    np.save(tmp_path / "floats.npy", np.zeros((2, 4), dtype=np.float32))
    np.save(tmp_path / "flat.npy", np.zeros(4, dtype=np.uint8))
    (tmp_path / "cut.npy").write_bytes(queries.read_bytes()[:-3])
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:60])
    (tmp_path / "text.txt").write_text("nothing here\n")
    (tmp_path / "empty").mkdir()
    (tmp_path / "some.bin").write_bytes(bytes(41))
    (tmp_path / "nothing.raw").touch()
    (tmp_path / "cut.u8bin").write_bytes(b"\x02\0\0\0\x08\0\0\0" + bytes(15))
    monkeypatch.chdir(tmp_path)
    return tmp_path


CASES = [
    # info
    ("info absent", 2, "absent does not exist"),
    ("info empty", 2, "neither an index"),
    ("info text.txt", 2, "neither an index"),
    # build
    ("build absent --output b.hnx", 2, "absent holds no complete code store"),
    ("build codes --output a.hnx", 2, "a.hnx exists already"),
    ("build codes --output b.hnx --shards 0", 2, "--shards"),
    ("build codes --output b.hnx --shards 201", 2, "201 shards for 200 codes"),
    ("build a.hnx --output b.hnx", 2, "no complete code store"),
    ("build codes", 2, "--output"),
    ("build text.txt --output b.hnx", 2, "a code file ends in .npy, .u8bin, .bin or .raw"),
    ("build absent.npy --output b.hnx", 2, "absent.npy does not exist"),
    ("build floats.npy --output b.hnx", 2, "floats.npy must hold uint8 (packed bits), got float32"),
    ("build flat.npy --output b.hnx", 2, "flat.npy must have shape (n, n_bits / 8), got (4,)"),
    ("build cut.npy --output b.hnx", 3, "cut.npy is damaged"),
    ("build cut.u8bin --output b.hnx", 3, "cut.u8bin is damaged"),
    ("build nothing.raw --n-bits 64 --output b.hnx", 2, "nothing.raw is empty"),
    ("build some.bin --output b.hnx", 2, "give n_bits (--n-bits)"),
    ("build some.bin --n-bits 64 --output b.hnx", 2, "whole codes of 8 bytes for n_bits=64, got 41 bytes"),
    ("build some.bin --n-bits 12 --output b.hnx", 2, "n_bits must be a multiple of 8, got 12"),
    ("build q.npy --n-bits 64 --output b.hnx", 2, "holds codes of 32 bits, but n_bits=64 was given"),
    ("build codes --n-bits 32 --output b.hnx", 2, "--n-bits is for code files"),
    ("build q.npy --output a.hnx", 2, "a.hnx exists already"),
    ("build q.npy --output b.hnx --shards 6", 2, "6 shards for 5 codes"),
    ("build q.npy --output b.hnx --memory much", 2, "--memory must be an amount of memory like 512M"),
    (
        "build q.npy --output b.hnx --memory 1M",
        2,
        "memory must be at least 67108864 bytes (64 MiB), got 1048576",
    ),
    ("build q.npy --output b.hnx --tables 0", 2, "--tables"),
    ("build q.npy --output b.hnx --tables 17", 2, "tables must be from 2 to 16 for n_bits=32, got 17"),
    ("build q.npy --output b.hnx --directory-bits 29", 2, "directory_bits must be from 1 to 28"),
    (
        "build q.npy --output b.hnx --tables 2 --directory-bits 15",
        2,
        "from 16 to 28 for n_bits=32 and 2 tables",
    ),
    ("build q.npy --output b.hnx --threads 0", 2, "--threads"),
    # add
    ("add absent.hnx codes", 2, "absent.hnx"),
    ("add a.hnx absent", 2, "absent holds no complete code store"),
    ("add a.hnx wide.npy", 2, "codes must have shape (n, 4) for n_bits=32, got (2, 5)"),
    ("add a.hnx cut.u8bin", 3, "cut.u8bin is damaged"),
    ("add a.hnx some.bin", 2, "give n_bits (--n-bits)"),
    ("add a.hnx q.npy --memory 4X", 2, "--memory must be an amount of memory"),
    ("add a.hnx codes", 2, "200 of 200 images are in a.hnx already"),
    # search
    ("search a.hnx", 2, "give either --queries"),
    ("search a.hnx --queries q.npy --image five.png --model model", 2, "give either --queries"),
    ("search a.hnx --queries q.npy --k 3 --radius 2", 2, "give either --k or --radius"),
    ("search a.hnx --queries q.npy --k 0", 2, "k must be at least 1, got 0"),
    ("search a.hnx --queries q.npy --k 201", 2, "got k=201 for 200 codes"),
    ("search a.hnx --queries q.npy --radius -1", 2, "radius must be from 0 to n_bits=32"),
    ("search a.hnx --queries q.npy --radius 33", 2, "radius must be from 0 to n_bits=32"),
    ("search a.hnx --queries absent.npy", 2, "absent.npy does not exist"),
    ("search a.hnx --queries text.txt", 2, "text.txt is not an .npy file"),
    ("search a.hnx --queries cut.npy", 3, "cut.npy is damaged"),
    ("search a.hnx --queries wide.npy", 2, "queries must have shape (n, 4) for n_bits=32, got (2, 5)"),
    ("search a.hnx --queries floats.npy", 2, "queries must have dtype uint8"),
    ("search a.hnx --queries flat.npy", 2, "queries must have shape (n, 4)"),
    ("search a.hnx --image five.png", 2, "--image needs --model"),
    ("search a.hnx --image absent.png --model model", 2, "absent.png does not exist"),
    ("search a.hnx --image cut.png --model model", 1, "cut.png cannot be read"),
    ("search a.hnx --image text.txt --model model", 1, "text.txt cannot be read"),
    ("search a.hnx --image five.png --model empty", 2, "empty is not a model directory"),
    ("search absent.hnx --queries q.npy", 2, "absent.hnx"),
    ("search a.hnx --queries q.npy --threads 0", 2, "--threads"),
    ("search a.hnx --queries q.npy --count", 2, "--count needs --radius R"),
    ("search a.hnx --queries q.npy --count --k 3", 2, "--count needs --radius R"),
    ("search a.hnx --queries q.npy --count --radius 2 --html a.html", 2, "--count needs --radius R"),
    ("search a.hnx --queries q.npy --count --radius 33", 2, "radius must be from 0 to n_bits=32"),
    # check
    ("check absent.hnx", 2, "absent.hnx"),
    ("check codes", 2, "codes is not a hashnet index"),
    # encode
    ("encode --model empty --data digits --output c", 2, "empty is not a model directory"),
    ("encode --model model --data absent --output c", 2, "absent does not exist"),
    ("encode --model model --data digits --output codes", 1, "begun with other settings"),
    ("encode --model model --data digits --output text.txt", 2, "text.txt"),
    ("encode --model model --data digits --output c --max-error-rate 2", 2, "--max-error-rate"),
    ("encode --model model --data digits --output c --workers -1", 2, "--workers"),
    ("encode --model model --data digits --output c --part some", 2, "--part"),
    # train
    ("train --data absent --output m", 2, "absent does not exist"),
    ("train --data digits --output m --bits 12", 2, "n_bits must be a multiple of 8, got 12"),
    ("train --data digits --output m --bits 2048", 2, "n_bits must be from 8 to 1024, got 2048"),
    ("train --data digits --output m --backbone resnet9000", 2, "resnet9000"),
    ("train --data digits --output m --weights absent.pth", 2, "absent.pth"),
    ("train --data digits --output m --seed -1", 2, "--seed"),
    ("train --data digits --output model", 2, "model"),
    ("train --data digits --output m --ray local", 2, "--ray and --min-workers need --workers N"),
    ("train --data digits --output m --workers -1", 2, "--workers"),
    ("train --data digits --output m --workers 2 --min-workers 3", 2, "least <= most"),
    # evaluate
    ("evaluate --model empty --data digits", 2, "empty is not a model directory"),
    ("evaluate --model model --data absent", 2, "absent does not exist"),
    ("evaluate --model model --data digits --at 0", 2, "--at"),
    ("evaluate --model model --data digits --radius -1", 2, "--radius"),
    # crosscheck
    ("crosscheck absent.hnx", 2, "absent.hnx"),
    ("crosscheck a.hnx --k 0", 2, "k must be"),
    ("crosscheck a.hnx --k 201", 2, "201"),
    ("crosscheck a.hnx --radius 33", 2, "radius must be from 0 to n_bits=32"),
    ("crosscheck a.hnx --queries wide.npy", 2, "queries must have shape (n, 4)"),
    ("crosscheck a.hnx --sample 0", 2, "--sample"),
    # demo
    ("demo --output codes", 2, "holds files that are not of a demo"),
    ("demo --bits 12 --output d", 2, "n_bits must be a multiple of 8, got 12"),
    # everywhere
    ("info codes --progress bar", 2, "No such option"),
    ("search a.hnx --queries q.npy --progress fancy", 2, "fancy"),
    ("fly", 2, "No such command"),
]


@pytest.mark.parametrize(("line", "code", "message"), CASES, ids=[case[0] for case in CASES])
def test_wrong_input_is_refused_and_changes_nothing(run, place, line, code, message):
    before = contents(place)
    result = run(*line.split())
    # A usage error comes in a box whose lines are broken.
    said = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, message in said) == (code, True), (result.exit_code, said)
    assert result.stdout == ""
    assert contents(place) == before


def test_a_damaged_segment_is_exit_code_3(run, place):
    segment = next((place / "a.hnx" / "segments").glob("*.seg"))
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    segment.write_bytes(content)
    for line in (("search", "a.hnx", "--queries", "q.npy"), ("check", "a.hnx")):
        result = run(*line)
        assert result.exit_code == 3
        assert segment.name in result.stderr


def test_damaged_weights_are_exit_code_3(run, place):
    weights = place / "model" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    result = run("info", "model")
    assert result.exit_code == 3


def test_damaged_codes_are_exit_code_3(run, place):
    shard = next((place / "codes").glob("*.npy"))
    shard.write_bytes(shard.read_bytes()[:-1])
    result = run("build", "codes", "--output", "b.hnx")
    assert result.exit_code == 3
    assert not (place / "b.hnx").exists()


@pytest.fixture
def other_model(place):
    """A model of another code space."""
    import torch

    from hashnet.models import NetworkConfig, Preprocessing, build_network, save_model

    generator = torch.Generator().manual_seed(1)
    network = build_network(NetworkConfig("small_cnn", 32), weights=None, generator=generator)
    save_model(place / "other", network, Preprocessing(32, 32), classes=["a"], seed=0, metrics={})
    return place / "other"


def test_queries_of_another_model_are_refused(run, other_model):
    result = run("search", "a.hnx", "--image", "five.png", "--model", other_model)
    assert (result.exit_code, "fingerprint" in result.stderr) == (2, True)


def test_codes_of_another_model_are_not_added(run, place, other_model):
    from hashnet.datasets import open_images
    from hashnet.encoding import encode_to_store

    encode_to_store(other_model, open_images("digits"), np.arange(300, 310), place / "codes2")
    before = contents(place / "a.hnx")
    result = run("add", "a.hnx", "codes2")
    assert (result.exit_code, "fingerprint" in result.stderr) == (2, True)
    assert contents(place / "a.hnx") == before


@pytest.fixture
def unlabelled(place, picture):
    """A flat folder of images, without a class to learn."""
    (place / "flat").mkdir()
    for i in range(4):
        shutil.copy(picture, place / "flat" / f"{i}.png")
    return "flat"


@pytest.mark.parametrize(
    "line", ["evaluate --model model --data flat", "train --data flat --output m --backbone small_cnn"]
)
@pytest.mark.usefixtures("unlabelled")
def test_images_without_labels_are_refused_where_labels_are_needed(run, line):
    result = run(*line.split())
    assert (result.exit_code, "labels" in result.stderr) == (2, True), result.stderr


@pytest.mark.usefixtures("unlabelled")
def test_images_without_labels_can_be_encoded(run):
    assert run.json("encode", "--model", "model", "--data", "flat", "--output", "c")["codes"] == 4


@pytest.mark.usefixtures("unlabelled")
def test_too_many_unreadable_images_are_a_failure(run, place):
    (place / "flat" / "0.png").write_bytes((place / "flat" / "1.png").read_bytes()[:50])
    result = run("encode", "--model", "model", "--data", "flat", "--output", "c")
    assert (result.exit_code, "0.png" in result.stderr) == (1, True)


@pytest.mark.usefixtures("unlabelled")
def test_few_unreadable_images_are_counted_and_skipped(run, place):
    (place / "flat" / "0.png").write_bytes((place / "flat" / "1.png").read_bytes()[:50])
    facts = run.json(
        *("encode", "--model", "model", "--data", "flat", "--output", "c", "--max-error-rate", 0.5)
    )
    assert (facts["codes"], facts["unreadable"]) == (3, 1)
