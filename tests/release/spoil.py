"""A release that is not what was signed: one byte of it, or who signed it, is another. Each of these is to be noticed."""

import base64
import gzip
import shutil
import struct
import subprocess

# What cosign calls the three kinds of what it signs.
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
SBOM = "https://spdx.dev/Document"


def flip(data, at=None):
    """One bit of one byte, in the middle unless said."""
    at = len(data) // 2 if at is None else at
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1:]


def of_base64(text, at=None):
    return base64.b64encode(flip(base64.b64decode(text), at)).decode()


def signature(bundle):
    envelope = bundle["dsseEnvelope"]["signatures"][0]
    envelope["sig"] = of_base64(envelope["sig"])


def statement(word):
    """An edit of a byte in the last such word of what is signed: it stays JSON, and says something else."""
    def edit(bundle):
        envelope = bundle["dsseEnvelope"]
        envelope["payload"] = of_base64(envelope["payload"], base64.b64decode(envelope["payload"]).rindex(word))
    return edit


def file(folder, name, at=None):
    path = folder / name
    path.write_bytes(flip(path.read_bytes(), at))


def copy(registry, source, target):
    """All tags, and with them all that is signed."""
    subprocess.run(["crane", "copy", "--all-tags", f"{registry.address}/{source}", f"{registry.address}/{target}"],
                   check=True, capture_output=True)


def exchange_layer(registry, descriptor):
    """In the registry's own storage: a layer of the same size that unpacks well, with a byte of the binary changed."""
    digest = descriptor["digest"].removeprefix("sha256:")
    path = registry.folder / "docker/registry/v2/blobs/sha256" / digest[:2] / digest / "data"
    layer = gzip.compress(flip(gzip.decompress(path.read_bytes())), 9)
    # A field of gzip that means nothing makes up for what it is shorter.
    room = descriptor["size"] - len(layer) - 2
    if not 0 <= room < 1 << 16:
        raise RuntimeError(f"the layer is {-room} bytes too long, or too short")
    path.write_bytes(layer[:3] + b"\x04" + layer[4:10] + struct.pack("<H", room) + bytes(room) + layer[10:])


def release_files(source, folder, what):
    shutil.copytree(source, folder)
    if what == "SHA256SUMS.sigstore.json":
        # Within the signature, which ends the file.
        at = (folder / what).read_bytes().rindex(b'"signature":"') + 40
        file(folder, what, at)
    else:
        file(folder, what)
