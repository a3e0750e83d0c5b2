//! Compiles the Talos protos (`proto/`) to client code, without protoc, and says what `--version` names beside the
//! number: the commit, which only `make build` knows, and the build.

use std::env;
use std::error::Error;

include!("proto/files.rs");

/// The commit that is built and its date, `commit 0123456789ab 2026-01-01`.
const COMMIT: &str = "TALOS_VMTOOLSD_COMMIT";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    // The order in which `make build` has the linker lay the functions.
    println!("cargo::rerun-if-changed=extension/hot-functions");
    println!("cargo::rerun-if-env-changed={COMMIT}");
    let commit = env::var(COMMIT).unwrap_or_else(|_| "commit unknown".to_owned());
    let (target, profile) = (env::var("TARGET")?, env::var("PROFILE")?);
    println!("cargo::rustc-env=BUILD={commit}, {target} {profile}");
    let files = protox::compile(protos("proto")?, ["proto"])?;
    // The few well-known types are compiled as well, which spares the daemon the prost-types crate;
    // `connect` is left out because the daemon makes its channels itself.
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .codec_path("crate::talos::codec::LeanCodec")
        .compile_well_known_types(true)
        .extern_path(".google.protobuf.Empty", "()")
        .btree_map(".")
        .include_file("talos_api.rs")
        .compile_fds(files)?;
    Ok(())
}
