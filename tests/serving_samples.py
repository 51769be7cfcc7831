"""What tests of the service share: sizes, keys, images, and a model that needs no torch."""

import io

import numpy as np
from PIL import Image

N_BITS = 64
N_CODES = 600
FINGERPRINT = "sha256:abc"
READ_KEY = "r" * 32
ADMIN_KEY = "a" * 32


class Thumbnails:
    """Codes of images without a network: a bit for each of 8 x 8 grey pixels above the mean."""

    n_bits = N_BITS
    batch_size = 4

    def __init__(self, fingerprint=FINGERPRINT):
        self.fingerprint = fingerprint
        self.batches = []

    def encode(self, images):
        self.batches.append(len(images))
        small = [np.asarray(image.convert("L").resize((8, 8)), dtype=np.float32) for image in images]
        bits = [(pixels > pixels.mean()).ravel() for pixels in small]
        return np.packbits(np.array(bits, dtype=bool).reshape(-1, N_BITS), axis=1)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def hexed(codes):
    return [code.tobytes().hex() for code in codes]


def picture(seed=0, size=(20, 30), kind="PNG"):
    """The bytes of an image file."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()
