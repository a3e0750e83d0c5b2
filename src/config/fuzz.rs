//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

use std::path::Path;

use super::draft::Draft;
use super::file;
use super::talosconfig::{Endpoint, Talosconfig};

/// A configuration file; an error is one line.
pub fn fuzz_config_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for error in file::read(text, &mut Draft::new()) {
        assert!(!error.to_string().is_empty());
    }
}

/// A talosconfig, its certificates' roles included, and its text as an endpoint.
pub fn fuzz_talosconfig(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match Talosconfig::parse(Path::new("talosconfig"), text) {
        Ok(config) => {
            let _ = config.roles();
            assert!(!config.certificates.is_empty());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert_eq!(endpoint.to_string().parse().as_ref(), Ok(&endpoint));
    }
}
