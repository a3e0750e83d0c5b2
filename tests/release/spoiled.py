"""Spoils the release on purpose: each command of the documents must notice its own fault, and Talos' code too."""

import pathlib
import shutil

import spoil
from check_images import PROGRAM, SBOM, Layout, edit_files, expect, respoil, run
from publish import IMAGES, PUBLISHED

# To cosign and to Talos, each bundle of an image is a signature: the provenance too.
SIGNATURES = [spoil.SIGNATURE, spoil.PROVENANCE]


def another_image(registry, images, scratch, tag, path, signatures_of):
    """The extension with a byte of one of its files changed, and with the signatures of the true one."""
    def change(entry, content):
        return spoil.flip(content) if entry.name == path else content

    place = f"spoiled-{pathlib.PurePosixPath(path).name}"
    layout = respoil(Layout(images / "extension"), scratch / place, edit_tar=edit_files(change))
    repository = f"{place}/{IMAGES['extension']}"
    run("skopeo", "copy", "--quiet", "--all", "--preserve-digests", "--dest-tls-verify=false",
        f"oci:{scratch / place}", f"docker://{registry.address}/{repository}:{tag}")
    true = f"{registry.address}/{PUBLISHED}/{IMAGES['extension']}"
    theirs = f"{registry.address}/{repository}"
    run("crane", "copy", f"{true}:{signatures_of.replace(':', '-')}",
        f"{theirs}:{layout.index()['digest'].replace(':', '-')}")
    return f"{theirs}:{tag}"


def check_images(registry, images, scratch, tag, digests, operator, talos, other):
    """Gives how many were noticed."""
    [readme], published = operator.readme, f"{PUBLISHED}/{IMAGES['extension']}"
    amd64 = run("crane", "digest", "--platform", "linux/amd64", f"{registry.address}/{published}:{tag}").strip()
    index = digests["extension"]

    def edited(name, digest, predicates, edit):
        spoil.copy(registry, published, f"{name}/{IMAGES['extension']}")
        registry.edit_bundles(f"{name}/{IMAGES['extension']}", digest, predicates, edit)
        return f"{registry.address}/{name}/{IMAGES['extension']}:{tag}"

    unsigned = f"{registry.address}/unsigned/{IMAGES['extension']}:{tag}"
    run("crane", "copy", f"{registry.address}/{published}:{tag}", unsigned)
    foreign = f"{registry.address}/foreign/{IMAGES['extension']}"
    run("crane", "copy", f"{registry.address}/{published}:{tag}", f"{foreign}:{tag}")
    run("cosign", "sign", "--yes", *other.flags, "--recursive", f"{foreign}@{index}")
    other_binary = another_image(registry, images, scratch, tag, PROGRAM, index)
    other_sbom = another_image(registry, images, scratch, tag, SBOM, index)

    cases = [
        ("a byte of the binary", other_binary, "cosign verify "),
        ("a byte of the SBOM in the image", other_sbom, "cosign verify "),
        ("no signature", unsigned, "cosign verify "),
        ("another signer", f"{foreign}:{tag}", "cosign verify "),
        ("a byte of each signature", edited("signature", index, SIGNATURES, spoil.signature), "cosign verify "),
        ("a byte of what is signed", edited("signed", index, SIGNATURES, spoil.statement(b"sha256")), "cosign verify "),
        ("a byte of the provenance", edited("provenance", index, [spoil.PROVENANCE], spoil.statement(b"release")),
         "slsaprovenance1"),
        ("a byte of its signature", edited("provenance-signature", index, [spoil.PROVENANCE], spoil.signature),
         "slsaprovenance1"),
        ("a byte of the SBOM that is attached", edited("sbom", amd64, [spoil.SBOM], spoil.statement(b"talos")), "spdxjson"),
        ("a byte of its signature", edited("sbom-signature", amd64, [spoil.SBOM], spoil.signature), "spdxjson"),
    ]
    for what, image, command in cases:
        noticed(what, operator.run(readme, image), command)
    # What is attached besides is not asked for by a node.
    altered = [image for _, image, command in cases if command == "cosign verify "]
    talos.judge("TestTalosRefuses", RELEASE_ALTERED=" ".join(altered))
    print(f"release-check: Talos refuses the first {len(altered)} of these")
    return len(cases)


def noticed(what, outcome, command):
    """The last command that was begun is the one that notices, and it does so in words."""
    code, said = outcome
    begun = [line for line in said.splitlines() if line.startswith(("cosign ", "sha256sum ", "crane "))]
    expect(code != 0, f"not noticed: {what}")
    expect(begun and command in begun[-1], f"{what}: noticed elsewhere:\n{said}")
    print(f"release-check: noticed: {what}: {said.splitlines()[-1]}")


def check_files(scratch, operator):
    files = next(block for block in operator.page if "verify-blob" in block)
    cases = [
        ("talos-vmtoolsd-linux-amd64", "sha256sum"),
        ("talos-vmtoolsd-linux-arm64.spdx.json", "sha256sum"),
        ("extension.tar", "sha256sum"),
        ("SHA256SUMS", "cosign verify-blob"),
        ("SHA256SUMS.sigstore.json", "cosign verify-blob"),
    ]
    good = operator.folder
    for name, command in cases:
        operator.folder = scratch / f"files-{name}"
        spoil.release_files(good, operator.folder, name)
        noticed(f"a byte of {name}", operator.run(files), command)
        shutil.rmtree(operator.folder)
    operator.folder = good
    return len(cases)


def check_exchanged_layer(registry, images, operator, talos):
    """Last of all: the registry itself gives another layer than it was given."""
    for _, manifest, *_ in Layout(images / "extension").platforms():
        spoil.exchange_layer(registry, manifest["layers"][0])
    blocks = [next(block for block in operator.page if command in block) for command in ("crane export", "crane pull")]
    shutil.rmtree(operator.folder / "_in")
    for block, command in zip(blocks, ("crane export", "crane pull")):
        noticed("a layer that the registry has exchanged", operator.run(block), command)
    talos.judge("TestTheImagerRefusesAnExchangedLayer")
    print("release-check: Talos' imager notices the exchanged layer")
    return len(blocks)
