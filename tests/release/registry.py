"""A registry on loopback: distribution's, as Debian packages it. What the tools for images cannot do is done by its
HTTP API, by the words of the OCI distribution specification."""

import hashlib
import json
import socket
import subprocess
import time
import urllib.request

# The annotation with which cosign says what is in a bundle.
BUNDLE = "dev.sigstore.bundle.predicateType"
CONFIG = """version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: {address}}}
"""

# Loopback is not asked for through a proxy.
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Registry:
    """Runs as long as the `with` that it is in."""

    def __init__(self, scratch):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % probe.getsockname()[1]
        self.folder = scratch / "registry"
        self.config = scratch / "registry.yml"
        self.config.write_text(CONFIG.format(folder=self.folder, address=self.address))

    def __enter__(self):
        self.process = subprocess.Popen(["docker-registry", "serve", self.config], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the registry does not start")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def answers(self):
        try:
            return self.call("GET", "").status == 200
        except OSError:
            return False

    def call(self, method, path, data=None, kind="application/octet-stream"):
        url = path if path.startswith("http") else f"http://{self.address}/v2/{path}"
        accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, */*"
        headers = {"Accept": accept, "Content-Type": kind}
        return DIRECT.open(urllib.request.Request(url, data, headers, method=method), timeout=30)

    def manifest(self, repository, reference):
        return json.load(self.call("GET", f"{repository}/manifests/{reference}"))

    def put_manifest(self, repository, document, reference=None):
        """Gives the descriptor of what was put."""
        data = json.dumps(document).encode()
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        self.call("PUT", f"{repository}/manifests/{reference or digest}", data, document["mediaType"])
        return {"digest": digest, "size": len(data)}

    def put_blob(self, repository, data):
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = self.call("POST", f"{repository}/blobs/uploads/", b"").headers["Location"]
        self.call("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", data)
        return {"digest": digest, "size": len(data)}

    def edit_bundles(self, repository, digest, predicates, edit):
        """Lets `edit` change what is signed or said of an image: each bundle with one of these types of predicate. All
        digests around it are right again."""
        tag, edited = digest.replace(":", "-"), 0
        index = self.manifest(repository, tag)
        for descriptor in index["manifests"]:
            manifest = self.manifest(repository, descriptor["digest"])
            if manifest["annotations"].get(BUNDLE) not in predicates:
                continue
            layer = manifest["layers"][0]
            bundle = json.load(self.call("GET", f"{repository}/blobs/{layer['digest']}"))
            edit(bundle)
            layer |= self.put_blob(repository, json.dumps(bundle).encode())
            descriptor |= self.put_manifest(repository, manifest)
            edited += 1
        if not edited:
            raise RuntimeError(f"{repository}@{digest} has no bundle of {predicates}")
        self.put_manifest(repository, index, tag)
