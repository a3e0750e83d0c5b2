"""Publishes a release as the workflow does, with a registry on loopback and a throw-away key."""

import json
import os
import pathlib
import re
import shutil
import subprocess

from check_images import Fault, Layout, edit_files, expect, respoil, run

RELEASE = pathlib.Path("_out/release").resolve()
IMAGES = {"runtime": "talos-vmtoolsd", "extension": "talos-vmtoolsd-extension"}
# Where in the registry it goes.
PUBLISHED = "published"


def of_makefile(variable):
    lines = pathlib.Path("Makefile").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{variable} = ")).split(" = ")[1]


def version():
    lines = pathlib.Path("manifest.yaml").read_text().splitlines()
    return next(line for line in lines if line.startswith("  version: ")).split(": ")[1]


class Signer:
    """A pair of keys that is thrown away, and no service that would see it."""

    def __init__(self, folder):
        folder.mkdir()
        os.environ["COSIGN_PASSWORD"] = ""
        run("cosign", "generate-key-pair", "--output-key-prefix", str(folder / "cosign"))
        run("cosign", "signing-config", "create", "--out", str(folder / "services.json"))
        run("cosign", "trusted-root", "create", "--out", str(folder / "root.json"))
        self.public = folder / "cosign.pub"
        self.flags = ["--key", str(folder / "cosign.key"), "--signing-config", str(folder / "services.json"),
                      "--trusted-root", str(folder / "root.json")]

    def attest(self, image, kind, document):
        run("cosign", "attest", "--yes", *self.flags, "--type", kind, "--predicate", str(document), image)


def push(registry, signer, tag):
    """The step of the workflow; what it hands to the steps for the provenance."""
    environment = {**os.environ, "REGISTRY": f"{registry.address}/{PUBLISHED}", "SIGN_WITH": " ".join(signer.flags)}
    done = subprocess.run([".ci/release", "push", tag], env=environment, capture_output=True, text=True)
    expect(done.returncode == 0, f".ci/release push: {done.stderr.strip()}")
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)


def provenance(tag, commit):
    """What the forge says of a run, in the same form."""
    source = of_makefile("SOURCE")
    workflow = {"ref": f"refs/tags/{tag}", "repository": source, "path": ".github/workflows/release.yml"}
    return {
        "buildDefinition": {
            "buildType": "https://actions.github.io/buildtypes/workflow/v1",
            "externalParameters": {"workflow": workflow},
            "resolvedDependencies": [{"uri": f"git+{source}@refs/tags/{tag}", "digest": {"gitCommit": commit}}],
        },
        "runDetails": {"builder": {"id": f"{source}/.github/workflows/release.yml@refs/tags/{tag}"}},
    }


def publish(registry, signer, scratch, tag):
    """All that a release brings into the registry. A second try of the same goes through, as in the workflow."""
    pushed = push(registry, signer, tag)
    expect(push(registry, signer, tag) == pushed, "a second push gives something else")
    document = scratch / "provenance.json"
    document.write_text(json.dumps(provenance(tag, run("git", "rev-parse", "HEAD").strip())))
    for image in IMAGES:
        signer.attest(f"{pushed[f'{image}-name']}@{pushed[f'{image}-digest']}", "slsaprovenance1", document)
    return {image: pushed[f"{image}-digest"] for image in IMAGES}


def check_other_push(registry, signer, images, scratch, tag):
    """Another image under a tag that is there: nothing is written."""
    other = scratch / "other"
    respoil(Layout(images / "extension"), other, edit_tar=edit_files(lambda _, content: content))
    aside = RELEASE / "extension.tar"
    kept = scratch / "extension.tar"
    shutil.move(aside, kept)
    try:
        run("tar", "--create", f"--file={aside}", f"--directory={other}", "index.json", "blobs")
        push(registry, signer, tag)
    except Fault as fault:
        expect("is there already, and another image" in str(fault), f"another complaint: {fault}")
    else:
        raise Fault("another image went to a tag that was there")
    finally:
        shutil.move(kept, aside)


def check_foreign_checkout(scratch):
    """The workflow works as root in a checkout that is the runner's: git has to take it, in each form of its name."""
    checkout, home = scratch / "checkout", scratch / "home"
    home.mkdir()
    run("git", "clone", "--quiet", "--no-hardlinks", ".", str(checkout))
    run("chown", "--recursive", "65534:65534", str(checkout))
    environment = ["env", "--ignore-environment", f"HOME={home}", f"PATH={os.environ['PATH']}"]
    refused = subprocess.run([*environment, "git", "-C", str(checkout), "status"], capture_output=True, text=True)
    expect("dubious ownership" in refused.stderr, "git takes the checkout of another: nothing is tried here")
    clones = [f"git clone --quiet --no-hardlinks {name} {scratch}/clone-{at}"
              for at, name in enumerate([".", str(checkout), f"file://{checkout}"])]
    for command in ["test -z \"$(git status --porcelain)\"", "git rev-parse HEAD", *clones]:
        run(*environment, str(checkout / ".ci/in-checkout"), "bash", "-euc", command)


def check_tag(scratch, tag):
    """The first step of the workflow: no release without names and notes."""
    clone = scratch / "clone"
    run("git", "clone", "--quiet", "--no-hardlinks", ".", str(clone))

    log = clone / "CHANGELOG.md"
    heading = f"## [{tag.removeprefix('v')}]"

    def with_names(registry, source):
        subprocess.run(["make", "--quiet", "names", f"REGISTRY={registry}", f"SOURCE={source}"], cwd=clone, check=True,
                       capture_output=True)

    def with_day(day):
        pattern = rf"^{re.escape(heading)}.*$"
        log.write_text(re.sub(pattern, f"{heading} - {day}", log.read_text(), flags=re.MULTILINE))

    def fault():
        return subprocess.run([".ci/release", "check", tag], cwd=clone, capture_output=True, text=True).stderr.strip()

    check_names(clone, tag)
    with_day("unreleased")
    with_names("somewhere.invalid/owner", "https://somewhere-else.invalid/agent")
    expect("REGISTRY or SOURCE is not set" in fault(), "released below a name that is not set")
    with_names("registry.example/owner", "https://forge.example/owner/agent")
    expect("has no section" in fault(), "released without the day of its notes")
    with_day("2026-01-01")
    expect(not fault(), fault())
    check_notes(clone, tag)
    whole = log.read_text()
    log.write_text(whole.replace(heading, f"## [Unreleased]\n\n- Something.\n\n{heading}"))
    expect("in no release" in fault(), "released with changes that are left out")
    log.write_text(whole.replace(heading, f"## [Unreleased]\n\n{heading}"))
    expect(not fault(), fault())
    log.write_text(whole[:whole.index(heading)] + f"{heading} - 2026-01-01\n\n## [0.1.0] - 2025-01-01\n\n- Something.\n")
    expect("says nothing of" in fault(), "released without notes")


def check_names(clone, tag):
    """A newer version is written at one place and carried to all others."""
    crate, current = clone / "Cargo.toml", tag.removeprefix("v")

    def with_version(version):
        crate.write_text(re.sub(r'^version = ".*"$', f'version = "{version}"', crate.read_text(), count=1, flags=re.MULTILINE))
        run("make", "--quiet", f"--directory={clone}", "names")
        return subprocess.run([".ci/release", "check", f"v{version}"], cwd=clone, capture_output=True, text=True).stderr

    expect("manifest.yaml" not in with_version("37.1.0"), "manifest.yaml keeps the old version")
    ours = r"talos-vmtoolsd(-extension|-guest-agent)?[: ]v[0-9.]+|refs/tags/v[0-9.\[]+|GUEST_AGENT_VERSION: v.*"
    found = run("git", "-C", str(clone), "grep", "-ohE", ours, "--", ".", ":!CHANGELOG.md", ":!tests").split("\n")
    versions = {re.search("v([0-9]+)[^v]*$", line)[1] for line in found if line}
    expect(len(found) > 30 and versions == {"37"}, f"versions after make names: {versions}")
    with_version(current)
    expect(not run("git", "-C", str(clone), "diff", "--stat"), "make names cannot be taken back")


# Stands in for the forge: a release is there once it was made, and none is made twice.
FORGE = """#!/bin/sh
echo "$*" >>"$CALLS"
case $2 in
    view) grep -q '^release create' "$CALLS" ;;
    create) [ "$(grep -c '^release create' "$CALLS")" = 1 ] ;;
esac
"""


def check_release_of_forge(scratch, tag):
    """The last step of the workflow, and once more: what is there already is brought up to date."""
    clone, calls, forge = scratch / "clone", scratch / "calls", scratch / "forge/gh"
    forge.parent.mkdir()
    forge.write_text(FORGE)
    forge.chmod(0o755)
    environment = {**os.environ, "CALLS": str(calls), "PATH": f"{forge.parent}:{os.environ['PATH']}"}
    files = clone / "_out/release"
    for expected in ["create", "upload --clobber edit --draft=false"]:
        files.mkdir(parents=True, exist_ok=True)
        for name in ["NOTES.md", "SHA256SUMS", "a-binary"]:
            (files / name).write_text(name)
        done = subprocess.run([".ci/release", "publish", tag], env=environment, cwd=clone, capture_output=True, text=True)
        expect(done.returncode == 0, f".ci/release publish: {done.stderr}")
        seen = calls.read_text().splitlines()
        calls_made = seen[[at for at, call in enumerate(seen) if call.startswith("release view")][-1] + 1:]
        said = " ".join(calls_made)
        expect(all(word in said for word in expected.split()), f"not {expected}: {said}")
        expect("_out/release/a-binary" in said and "--notes-file _out/NOTES.md" in said, f"the files: {said}")
        expect("release/NOTES.md" not in said, f"the notes are no file of the release: {said}")


def check_notes(clone, tag):
    """The notes are read elsewhere than in the repository: each of their links leads to a file at the tag."""
    notes = run(str(clone / ".ci/notes"), tag.removeprefix("v"))
    files = f"https://forge.example/owner/agent/blob/{tag}/"
    targets = re.findall(r"\]\(([^)#]*)", notes)
    local = [target.removeprefix(files) for target in targets if target.startswith(files)]
    expect(len(local) > 1 and all((clone / path).exists() for path in local), f"links of the notes: {local}")
    strays = [target for target in targets if not target.startswith("https://")]
    expect(not strays, f"links of the notes that lead nowhere: {strays}")
