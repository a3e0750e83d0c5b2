"""Rehearses a release: pushes and signs what `make release` collected as the workflow does, with a registry on loopback
and a throw-away key; verifies it by the commands of README.md and docs/verify.md; lets Talos' own code pull and judge it;
and spoils it on purpose.

usage: check.py <images>        (from the repository's root)
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import spoiled
from check_images import Fault, Layout, expect
from documents import SHELLS, Operator
from publish import (PUBLISHED, RELEASE, Signer, check_foreign_checkout, check_other_push, check_release_of_forge,
                     check_tag, of_makefile, publish, version)
from registry import Registry


def check_operator(operator):
    """Every command of the documents goes through; they and what they say are printed."""
    blocks = operator.readme + operator.page
    for block in blocks:
        code, said = operator.run(block)
        print(said, flush=True)
        expect(code == 0, f"a command of the documents fails with {code}")
    for shell in SHELLS[1:]:
        shutil.rmtree(operator.folder / "_in")
        for block in blocks:
            code, said = operator.run(block, shell=shell)
            expect(code == 0, f"in {shell[0]} a command of the documents fails with {code}:\n{said}")
        print(f"release-check: the same commands in {shell[0]}")


class Talos:
    """Talos' own code, see talos/."""

    def __init__(self, registry, images, signer, other, tag):
        name = f"{registry.address}/{PUBLISHED}/talos-vmtoolsd"
        self.environment = {
            **os.environ,
            "RELEASE_REGISTRY": registry.address,
            "RELEASE_RUNTIME": f"{name}:{tag}", "RELEASE_EXTENSION": f"{name}-extension:{tag}",
            "RELEASE_KEY": str(signer.public), "RELEASE_OTHER_KEY": str(other.public),
            "RELEASE_LAYOUT": str(images),
        }

    def judge(self, test, **variables):
        done = subprocess.run([os.environ["TALOS_JUDGE"], "-test.v", "-test.run", test], cwd="tests/release/talos",
                              env={**self.environment, **variables}, capture_output=True, text=True)
        expect(done.returncode == 0 and "--- PASS" in done.stdout, f"Talos: {done.stdout}{done.stderr}")
        return [line.strip() for line in done.stdout.splitlines() if line.strip().startswith(("--- PASS", "take"))]


def main():
    images, tag = pathlib.Path(sys.argv[1]).resolve(), version()
    with tempfile.TemporaryDirectory() as scratch, Registry(pathlib.Path(scratch)) as registry:
        scratch = pathlib.Path(scratch)
        signer, other = Signer(scratch / "keys"), Signer(scratch / "other-keys")
        if os.getuid() == 0:
            check_foreign_checkout(scratch)
            print("release-check: git works in the checkout of another user, as on the runner")
        check_tag(scratch, tag)
        print("release-check: no release without names and notes")
        check_release_of_forge(scratch, tag)
        print("release-check: a second run brings the release of the forge up to date")
        digests = publish(registry, signer, scratch, tag)
        for image, digest in digests.items():
            expect(digest == Layout(images / image).index()["digest"], f"{image} has another digest in the registry")
        print(f"release-check: {tag} is pushed and signed, twice with the same outcome")
        check_other_push(registry, signer, images, scratch, tag)
        print("release-check: another image under the same tag is refused")

        names = {of_makefile("REGISTRY"): f"{registry.address}/{PUBLISHED}", "registry.example": f"{registry.address}/mirror"}
        downloads = scratch / "downloads"
        shutil.copytree(RELEASE, downloads)
        # The signature of a throw-away key is not to be found among the files of a release.
        (RELEASE / "SHA256SUMS.sigstore.json").unlink()
        operator = Operator(downloads, signer.public, names)
        check_operator(operator)

        talos = Talos(registry, images, signer, other, tag)
        for line in talos.judge("TestTalosTakes"):
            print(f"release-check: Talos: {line}")
        noticed = spoiled.check_images(registry, images, scratch, tag, digests, operator, talos, other)
        noticed += spoiled.check_files(scratch, operator)
        noticed += spoiled.check_exchanged_layer(registry, images, operator, talos)
        print(f"release-check: {noticed} spoiled releases noticed")


if __name__ == "__main__":
    try:
        main()
    except Fault as fault:
        sys.exit(f"release-check: {fault}")
