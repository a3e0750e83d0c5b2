"""An operator who follows the documents: the commands of README.md and docs/verify.md, as they stand there."""

import pathlib
import re
import shutil
import subprocess

# The lines that say which image, and who signs.
IMAGE = re.compile(r"^IMAGE=.*$", re.MULTILINE)
SIGNER = re.compile(r"^BY=\(--certificate-[^()]*\)$", re.MULTILINE)
# Operators' shells; zsh, which is macOS' own, where it is here.
SHELLS = [shell for shell in (["bash"], ["zsh", "--no-rcs"]) if shutil.which(shell[0])]
# What is shown of the output.
LINES, COLUMNS = 40, 160


def blocks(document):
    """The commands of a document that verify, block by block."""
    text = pathlib.Path(document).read_text()
    found = re.findall(r"^```bash\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [block for block in found if re.search("cosign|sha256sum|provenance.json|crane pull", block) or SIGNER.search(block)]


class Operator:
    """Works in the folder where the files of the release are. `names` are those of the documents, and what stands for
    them here."""

    def __init__(self, folder, key, names):
        self.folder = folder
        self.signer = f"BY=(--key {key} --insecure-ignore-tlog)"
        self.names = names
        self.readme = blocks("README.md")
        page = blocks("docs/verify.md")
        self.names_of_page, self.page = page[0], page[1:]
        if len(self.readme) != 1 or len(self.page) < 4 or not SIGNER.search(self.names_of_page):
            raise RuntimeError("the commands are not found in README.md and docs/verify.md")

    def local(self, block, image=None):
        """The block with the names of here, and another image if that is given."""
        block = SIGNER.sub(self.signer, block)
        for name, here in self.names.items():
            block = block.replace(name, here)
        return IMAGE.sub(f"IMAGE=$(crane digest --full-ref {image})", block) if image else block

    def run(self, block, image=None, shell=SHELLS[0]):
        """Runs it as one script that ends at the first command that fails; gives the exit code, and commands and output
        as a terminal shows them."""
        script = "set -v\n" + self.local(block, image)
        if not SIGNER.search(block):
            script = self.local(self.names_of_page, image) + script
        done = subprocess.run([*shell, "-euo", "pipefail"], input=script, cwd=self.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        lines = done.stdout.splitlines()
        if len(lines) > LINES:
            lines[LINES // 2:-LINES // 2] = [f"… {len(lines) - LINES} lines …"]
        return done.returncode, "\n".join(trim(line) for line in lines)


def trim(line):
    return line if len(line) <= COLUMNS else line[:COLUMNS] + "…"
