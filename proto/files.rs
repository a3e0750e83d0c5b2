// Included by the build scripts of the daemon and of the embedded API, so that both compile the same protos.

use std::io;
use std::path::{Path, PathBuf};

/// All protos below a folder, sorted: generated code must not depend on the order of directory entries.
fn protos(folder: impl AsRef<Path>) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(protos(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
