"""Images become the codes of the model, and a hostile file costs nothing but its own answer."""

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image
from serving_samples import N_BITS, Thumbnails, hexed, picture

from hashnet import Index
from hashnet.errors import FingerprintError


def code_of(data):
    with Image.open(io.BytesIO(data)) as image:
        return hexed(Thumbnails().encode([image.convert("RGB")]))[0]


def bomb(width=50_000, height=50_000):
    """A PNG of a few bytes that unfolds into gigabytes."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"])
def test_an_image_is_encoded(serve, kind):
    data = picture(kind=kind)
    answer = serve(encoder=Thumbnails()).post("/encode", files={"image": data}).json()
    assert answer["hex"] == [code_of(data)]
    assert answer["n_bits"] == N_BITS


def test_several_images_keep_their_order(serve):
    images = [picture(seed) for seed in range(6)]
    response = serve(encoder=Thumbnails()).post("/encode", files=[("image", data) for data in images])
    assert response.json()["hex"] == [code_of(data) for data in images]


def test_a_search_by_image_is_one_by_its_code(serve):
    client = serve(encoder=Thumbnails())
    data = picture(3)
    fields = {"k": "4", "with_codes": "true", "explain": "true"}
    by_image = client.post("/search", files={"image": data}, data=fields).json()
    asked = {"codes": [code_of(data)], "k": 4, "with_codes": True, "explain": True}
    by_code = client.post("/search", json=asked).json()
    assert by_image["answers"] == by_code["answers"]
    assert by_image["plan"]["shards"]


def test_a_ball_around_an_image(serve):
    client = serve(encoder=Thumbnails())
    data = picture(3)
    by_image = client.post("/search_radius", files={"image": data}, data={"radius": "30"}).json()
    by_code = client.post("/search_radius", json={"codes": [code_of(data)], "radius": 30}).json()
    assert by_image["answers"] == by_code["answers"]


def test_images_of_several_clients_share_a_batch(serve):
    encoder = Thumbnails()
    client = serve(encoder=encoder)
    images = [picture(seed) for seed in range(16)]

    def encode(data):
        return client.post("/encode", files={"image": data}).json()["hex"] == [code_of(data)]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(encode, images))
    assert max(encoder.batches) <= encoder.batch_size


@pytest.mark.parametrize(
    "file",
    [b"", b"no image", picture()[:100], bomb(), b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%PDF-1.4"],
    ids=["empty", "text", "cut off", "bomb", "svg", "pdf"],
)
def test_a_file_that_is_no_image_is_refused(serve, file):
    encoder = Thumbnails()
    response = serve(encoder=encoder).post("/encode", files=[("image", picture()), ("image", file)])
    assert (response.status_code, response.json()["code"]) == (422, "unreadable_image")
    assert "image[1]" in response.json()["message"]


def test_pixels_are_counted_before_they_are_unfolded(serve):
    response = serve(encoder=Thumbnails(), max_pixels=599).post("/encode", files={"image": picture()})
    assert "30 x 20 pixels are more than the limit of 599" in response.json()["message"]


def test_a_bad_image_does_not_harm_the_others_of_its_batch(serve):
    client = serve(encoder=Thumbnails())

    def encode(i):
        return client.post("/encode", files={"image": picture(i) if i % 2 else b"x"}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(encode, range(24))) == [422, 200] * 12


@pytest.mark.parametrize(
    ("files", "fields", "message"),
    [
        ([("image", b"x")] * 3, {}, "form cannot be read"),
        ([("picture", b"x")], {}, "only `image` is a file"),
        ([("image", b"x")], {"nonsense": "1"}, "nonsense"),
        ([("image", b"x")], {"k": "many"}, "k"),
        ([("image", b"x")], {"k": "1", "explain": "perhaps"}, "explain"),
        ([("image", b"x")], {"k": "x" * 2000}, "form cannot be read"),
    ],
)
def test_forms_are_checked(serve, files, fields, message):
    response = serve(encoder=Thumbnails(), max_images=2).post("/search", files=files, data=fields)
    assert response.status_code in (400, 422)
    assert message in response.json()["message"]


def test_without_a_model_images_are_refused(serve):
    client = serve()
    for path in ("/encode", "/search"):
        response = client.post(path, files={"image": picture()})
        assert (response.status_code, response.json()["code"]) == (422, "no_model")
    assert client.get("/info").json()["encodes"] is False


def test_a_real_model_finds_its_own_images(serve, tiny_model):
    from hashnet.datasets import open_images
    from hashnet.encoding import Encoder

    encoder = Encoder.load(tiny_model)
    digits = open_images("digits")
    index = Index.in_memory(n_bits=encoder.n_bits, fingerprint=encoder.fingerprint)
    encoded = encoder.encode_image_set(digits, range(20))
    index.add(encoded.codes, keys=encoded.keys)
    client = serve(index, encoder=encoder)
    for i in (3, 11):
        file = io.BytesIO()
        digits.load(i).save(file, "PNG")
        answer = client.post("/search", files={"image": file.getvalue()}, data={"k": "20"}).json()["answers"][
            0
        ]
        assert answer["query"] == hexed(encoded.codes[i : i + 1])[0]
        assert answer["distances"][answer["keys"].index(digits.key(i))] == 0


def test_a_model_of_another_code_space_is_refused(serve):
    with pytest.raises(FingerprintError, match="queries of the model"):
        serve(encoder=Thumbnails("sha256:other"))


def test_a_model_of_another_length_is_refused(serve):
    with pytest.raises(ValueError, match="codes of 64 bits, the index holds codes of 32"):
        serve(Index.in_memory(n_bits=32), encoder=Thumbnails())
