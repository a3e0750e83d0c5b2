"""Checks the packed images with tools that had no part in packing them.

skopeo opens layouts and archives, umoci unpacks them (and verifies each digest on the way), spdx-tools judges the
SBOM, `cargo tree` says what must be in it, and crane serves a registry on loopback to which the images are pushed
and from which they are read back. At the end images are spoiled on purpose: each check must notice its own fault.

usage: check_images.py <images>        (from the repository's root)
"""

import copy
import gzip
import hashlib
import io
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time

from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

MAX_BYTES = 4 * 1024 * 1024
TRIPLES = {"amd64": "x86_64-unknown-linux-gnu", "arm64": "aarch64-unknown-linux-gnu"}
LABELS = {f"org.opencontainers.image.{name}" for name in
          ("title", "version", "source", "licenses", "revision", "description")}
PROGRAM = "rootfs/usr/local/lib/containers/talos-vmtoolsd/talos-vmtoolsd"
SERVICE = "rootfs/usr/local/etc/containers/talos-vmtoolsd.yaml"
SBOM = "rootfs/usr/local/share/spdx/talos-vmtoolsd-guest-agent.spdx.json"


def folders_of(*files):
    """Every folder above the files."""
    parents = (parent for file in files for parent in pathlib.PurePosixPath(file).parents)
    return {str(parent): 0o755 for parent in parents if str(parent) != "."}


# Path and mode of all there may be.
CONTENTS = {
    "extension": {
        "manifest.yaml": 0o644, SERVICE: 0o644, SBOM: 0o644, PROGRAM: 0o755,
        **folders_of(SERVICE, SBOM, PROGRAM),
    },
    "runtime": {"talos-vmtoolsd": 0o755},
}
ENTRYPOINT = {"extension": None, "runtime": ["/talos-vmtoolsd", "vmtoolsd"]}


class Fault(Exception):
    """What is wrong with an image."""


def expect(condition, what):
    if not condition:
        raise Fault(what)


def run(*command, binary=False):
    """Runs a program; what it prints."""
    done = subprocess.run(command, capture_output=True)
    if done.returncode:
        raise Fault(f"{' '.join(map(str, command))}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout if binary else done.stdout.decode()


def sha256(data):
    return hashlib.sha256(data).hexdigest()


class Layout:
    """An OCI layout on disk, read by hand."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)

    def blob(self, descriptor):
        data = (self.folder / "blobs/sha256" / descriptor["digest"].removeprefix("sha256:")).read_bytes()
        expect(sha256(data) == descriptor["digest"].removeprefix("sha256:"), f"{descriptor['digest']} is spoiled")
        expect(len(data) == descriptor["size"], f"{descriptor['digest']} has another size")
        return data

    def document(self, descriptor):
        return json.loads(self.blob(descriptor))

    def top(self):
        return json.loads((self.folder / "index.json").read_bytes())

    def index(self):
        entries = self.top()["manifests"]
        expect(len(entries) == 1, f"index.json names {len(entries)} images instead of one")
        expect(entries[0]["mediaType"] == "application/vnd.oci.image.index.v1+json", "no nested index")
        return entries[0]

    def platforms(self):
        """(architecture, manifest, configuration, tar of the only layer) of each platform."""
        for descriptor in self.document(self.index())["manifests"]:
            expect(descriptor["platform"]["os"] == "linux", "not for Linux")
            manifest = self.document(descriptor)
            config = self.document(manifest["config"])
            expect(len(manifest["layers"]) == 1, "more than one layer")
            tar = gzip.decompress(self.blob(manifest["layers"][0]))
            expect(config["rootfs"]["diff_ids"] == [f"sha256:{sha256(tar)}"], "diff_ids do not fit the layer")
            yield descriptor["platform"]["architecture"], manifest, config, tar


def check_layout(name, layout, binaries):
    """Platforms, labels, files, owners, modes, times, sizes, and the SBOM."""
    index = layout.document(layout.index())
    expect(set(index["annotations"]) == LABELS, "the index lacks an annotation")
    seen = []
    for arch, manifest, config, tar in layout.platforms():
        seen.append(arch)
        expect(config["architecture"] == arch and config["os"] == "linux", f"{arch}: the configuration is another's")
        labels = config["config"]["Labels"]
        expect(set(labels) == LABELS and all(labels.values()), f"{arch}: labels are {sorted(labels)}")
        expect(manifest["annotations"] == labels == index["annotations"], f"{arch}: annotations and labels differ")
        expect(config["config"].get("Entrypoint") == ENTRYPOINT[name], f"{arch}: another entrypoint")
        size = sum(part["size"] for part in [manifest["config"], *manifest["layers"]])
        expect(size <= MAX_BYTES, f"{arch}: {size} bytes compressed")
        check_files(name, arch, config, tar, binaries[arch], labels)
    expect(seen == ["amd64", "arm64"], f"platforms are {seen}")


def check_files(name, arch, config, tar, binary, labels):
    files = tarfile.open(fileobj=io.BytesIO(tar))
    entries = files.getmembers()
    paths = {entry.name: entry.mode for entry in entries}
    expect(len(paths) == len(entries), f"{arch}: a path occurs twice")
    expect(paths == CONTENTS[name], f"{arch}: files or modes differ: {set(paths.items()) ^ set(CONTENTS[name].items())}")
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(entries[0].mtime))
    for entry in entries:
        expect(entry.uid == entry.gid == 0, f"{arch}: {entry.name} belongs to {entry.uid}:{entry.gid}")
        expect(entry.isdir() or entry.isreg(), f"{arch}: {entry.name} is neither file nor folder")
        expect(not entry.mode & 0o6022, f"{arch}: {entry.name} has mode {entry.mode:o}")
        expect(entry.mtime == entries[0].mtime, f"{arch}: {entry.name} has a time of its own")
    expect(config["created"] == created, f"{arch}: created {config['created']}, the files {created}")

    def read(path):
        return files.extractfile(path).read()

    packed = read(PROGRAM if name == "extension" else "talos-vmtoolsd")
    expect(packed == binary, f"{arch}: the binary is not the one that was built")
    if name == "extension":
        expect(read("manifest.yaml") == pathlib.Path("manifest.yaml").read_bytes(), "another manifest.yaml")
        expect(read(SERVICE) == pathlib.Path("extension/talos-vmtoolsd.yaml").read_bytes(), "another service file")
        check_sbom(arch, read(SBOM), binary, labels)


def check_sbom(arch, content, binary, labels):
    with tempfile.NamedTemporaryFile(suffix=".spdx.json") as file:
        file.write(content)
        file.flush()
        document = parse_file(file.name)
    faults = [fault.validation_message for fault in validate_full_spdx_document(document)]
    expect(not faults, f"{arch}: SBOM: {faults}")
    packages = {package.name: package for package in document.packages}
    daemon = packages.get("talos-vmtoolsd")
    expect(daemon, f"{arch}: the SBOM does not name talos-vmtoolsd")
    expect(f"v{daemon.version}" == labels["org.opencontainers.image.version"], f"{arch}: SBOM of another version")
    expect([sum.value for sum in daemon.checksums] == [sha256(binary)], f"{arch}: SBOM of another binary")
    for package in document.packages:
        expect(str(package.license_declared) != "NOASSERTION", f"{arch}: no licence of {package.name}")

    # Everything hangs together: from the document to the daemon, and from it to each crate.
    edges = {}
    for relation in document.relationships:
        edges.setdefault(relation.spdx_element_id, set()).add(relation.related_spdx_element_id)
    reached, open_ends = set(), ["SPDXRef-DOCUMENT"]
    while open_ends:
        new = edges.get(open_ends.pop(), set()) - reached
        reached |= new
        open_ends.extend(new)
    lost = {package.spdx_id for package in document.packages} - reached
    expect(not lost, f"{arch}: nothing in the SBOM depends on {sorted(lost)}")

    listed = {(package.name, package.version) for package in document.packages} - {
        (name, packages[name].version) for name in ("rust-std", "glibc") if name in packages}
    expect(listed == linked_crates(arch), f"{arch}: SBOM and cargo tree differ: {sorted(listed ^ linked_crates(arch))}")
    expect({"rust-std", "glibc"} <= set(packages), f"{arch}: the SBOM lacks the toolchain's libraries")


def linked_crates(arch):
    """What Cargo links into the daemon: no build scripts, no macros, no other platform."""
    tree = run("cargo", "tree", "--locked", "--package", "talos-vmtoolsd", "--edges", "normal,no-proc-macro",
               "--target", TRIPLES[arch], "--prefix", "none", "--format", "{p}")
    return set(re.findall(r"^(\S+) v(\S+)", tree, re.MULTILINE))


def check_tools_open(name, images, scratch):
    """skopeo and umoci take the archive and the folder without being told which image is in them."""
    digest = Layout(images / name).index()["digest"]
    for source in (f"oci-archive:{images / name}.tar", f"oci:{images / name}"):
        raw = run("skopeo", "inspect", "--raw", source, binary=True)
        expect(f"sha256:{sha256(raw)}" == digest, f"skopeo sees another image in {source}")
    for arch in TRIPLES:
        one = scratch / f"{name}-{arch}"
        run("skopeo", "--override-os", "linux", "--override-arch", arch, "copy", "--quiet",
            f"oci-archive:{images / name}.tar", f"oci:{one}:only")
        run("umoci", "unpack", "--rootless", "--image", f"{one}:only", str(one / "bundle"))
        root = one / "bundle/rootfs"
        unpacked = {str(path.relative_to(root)) for path in root.rglob("*")}
        expect(unpacked == set(CONTENTS[name]), f"umoci unpacked {unpacked ^ set(CONTENTS[name])}")


def check_imager_layout(images):
    """The imager's ociPath: platforms named in index.json itself, which is the very index of the image."""
    top = images / "extension-imager"
    expect(f"sha256:{sha256((top / 'index.json').read_bytes())}" == Layout(images / "extension").index()["digest"],
           "extension-imager holds another image")
    for descriptor in Layout(top).top()["manifests"]:
        for part in (manifest := Layout(top).document(descriptor))["layers"] + [manifest["config"]]:
            Layout(top).blob(part)


def check_push(images, scratch):
    """Both images go to a registry whole, and come back as they were."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % probe.getsockname()[1]
    (scratch / "registry").mkdir()
    registry = subprocess.Popen(["crane", "registry", "serve", "--address", address, "--disk", scratch / "registry"],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 30
        while not reachable(address):
            expect(registry.poll() is None and time.monotonic() < deadline, "the registry does not start")
        run("extension/push", str(images), f"{address}/some/talos-vmtoolsd:test")
        for name, repository in (("runtime", "talos-vmtoolsd"), ("extension", "talos-vmtoolsd-extension")):
            place = f"{address}/some/{repository}:test"
            expect(run("crane", "digest", place).strip() == Layout(images / name).index()["digest"],
                   f"{name} has another digest in the registry")
            run("crane", "validate", "--remote", place)
            for arch in TRIPLES:
                tar = run("crane", "export", "--platform", f"linux/{arch}", place, "-", binary=True)
                names = {entry.name.rstrip("/") for entry in tarfile.open(fileobj=io.BytesIO(tar))}
                expect(names == set(CONTENTS[name]), f"the registry gave {names}")
    finally:
        registry.terminate()
        registry.wait()


def reachable(address):
    host, port = address.split(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
        return True
    except OSError:
        return False


def respoil(layout, folder, edit_tar=None, edit_config=None, edit_index=None):
    """Writes the layout anew with one thing changed and all digests right again."""
    blobs = folder / "blobs/sha256"
    blobs.mkdir(parents=True)

    def put(descriptor, data):
        (blobs / sha256(data)).write_bytes(data)
        return {**descriptor, "digest": f"sha256:{sha256(data)}", "size": len(data)}

    def dump(document):
        return json.dumps(document).encode()

    top = layout.top()
    index = layout.document(layout.index())
    for at, (_, manifest, config, tar) in enumerate(list(layout.platforms())):
        manifest, config = copy.deepcopy(manifest), copy.deepcopy(config)
        tar = edit_tar(tar) if edit_tar else tar
        if edit_config:
            edit_config(config)
        config["rootfs"]["diff_ids"] = [f"sha256:{sha256(tar)}"]
        manifest["layers"] = [put(manifest["layers"][0], gzip.compress(tar, 1))]
        manifest["config"] = put(manifest["config"], dump(config))
        index["manifests"][at] = put(index["manifests"][at], dump(manifest))
    if edit_index:
        edit_index(index)
    top["manifests"] = [put(top["manifests"][0], dump(index))]
    (folder / "index.json").write_bytes(dump(top))
    return Layout(folder)


def edit_files(change):
    """An edit of a tar file: `change(entry, content)` for each entry; gives the content."""
    def edit(tar):
        result = io.BytesIO()
        with tarfile.open(fileobj=result, mode="w", format=tarfile.USTAR_FORMAT) as out:
            source = tarfile.open(fileobj=io.BytesIO(tar))
            for entry in source:
                content = source.extractfile(entry).read() if entry.isreg() else b""
                content = change(entry, content)
                entry.size = len(content)
                out.addfile(entry, io.BytesIO(content))
        return result.getvalue()
    return edit


def add_file(tar):
    result = io.BytesIO(tar)
    with tarfile.open(fileobj=result, mode="a") as out:
        out.addfile(tarfile.TarInfo("sh"))
    return result.getvalue()


def set_field(path, **fields):
    def change(entry, content):
        if entry.name == path:
            for field, value in fields.items():
                setattr(entry, field, value)
        return content
    return edit_files(change)


def edit_sbom(edit):
    def change(entry, content):
        if entry.name == SBOM:
            document = json.loads(content)
            edit(document)
            content = json.dumps(document).encode()
        return content
    return edit_files(change)


def drop_crate(document):
    lost = next(package for package in document["packages"] if package["name"] == "base64")
    document["packages"].remove(lost)
    document["relationships"] = [relation for relation in document["relationships"]
                                 if lost["SPDXID"] not in relation.values()]


# What must be noticed, the edit, and a word of the complaint.
SPOILED = [
    ("a file of another owner", {"edit_tar": set_field(PROGRAM, uid=1000)}, "belongs to"),
    ("a setuid program", {"edit_tar": set_field(PROGRAM, mode=0o4755)}, "modes differ"),
    ("a time of its own", {"edit_tar": set_field(PROGRAM, mtime=1)}, "time of its own"),
    ("a file too many", {"edit_tar": add_file}, "files or modes differ"),
    ("another binary", {"edit_tar": edit_files(lambda entry, content: content + b"!" * (entry.name == PROGRAM))},
     "not the one that was built"),
    ("a missing label", {"edit_config": lambda config: config["config"]["Labels"].popitem()}, "labels are"),
    ("an entrypoint", {"edit_config": lambda config: config["config"].update(Entrypoint=["/bin/sh"])}, "entrypoint"),
    ("a missing platform", {"edit_index": lambda index: index["manifests"].pop()}, "platforms are"),
    ("an SBOM without a version", {"edit_tar": edit_sbom(lambda document: document.pop("spdxVersion"))}, "spdx"),
    ("an SBOM that lacks a crate", {"edit_tar": edit_sbom(drop_crate)}, "differ"),
    ("an SBOM without relationships", {"edit_tar": edit_sbom(lambda document: document["relationships"].clear())},
     "relationship"),
]


def check_the_checks(images, scratch, binaries):
    good = Layout(images / "extension")
    check_layout("extension", respoil(good, scratch / "unspoiled"), binaries)
    for what, edit, complaint in SPOILED:
        spoiled = respoil(good, scratch / what.replace(" ", "-"), **edit)
        try:
            check_layout("extension", spoiled, binaries)
        except Exception as fault:  # a parser's own errors count as well
            expect(complaint.lower() in f"{type(fault).__name__} {fault}".lower(), f"{what}: another complaint: {fault}")
        else:
            raise Fault(f"nobody noticed {what}")
    flipped = scratch / "flipped"
    shutil.copytree(images / "extension", flipped)
    largest = max((flipped / "blobs/sha256").iterdir(), key=lambda blob: blob.stat().st_size)
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    try:
        run("skopeo", "copy", "--quiet", "--all", f"oci:{flipped}", f"oci:{scratch / 'copy'}:x")
    except Fault:
        return len(SPOILED) + 1
    raise Fault("skopeo did not notice a flipped bit")


def main():
    images = pathlib.Path(sys.argv[1]).resolve()
    binaries = {arch: pathlib.Path(f"_out/linux-{arch}/talos-vmtoolsd").read_bytes() for arch in TRIPLES}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        for name in CONTENTS:
            check_layout(name, Layout(images / name), binaries)
            print(f"images-check: {name}: platforms, labels, files, owners, modes, times, sizes")
            check_tools_open(name, images, scratch)
            print(f"images-check: {name}: skopeo and umoci open folder and archive")
        print("images-check: extension: SBOM valid (spdx-tools) and what cargo tree says")
        check_imager_layout(images)
        print("images-check: extension-imager: the same image")
        check_push(images, scratch)
        print("images-check: pushed to a registry and read back")
        print(f"images-check: {check_the_checks(images, scratch, binaries)} spoiled images noticed")


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        sys.exit(f"images-check: {fault}")
