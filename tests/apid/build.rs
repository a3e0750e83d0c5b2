//! Compiles the protos of the daemon to server code, and to client code for the tests of this package.

use std::error::Error;

include!("../../proto/files.rs");

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=../../proto");
    let files = protox::compile(protos("../../proto")?, ["../../proto"])?;
    // Events carry their message's name in a type URL.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .build_transport(false)
        .compile_well_known_types(true)
        .extern_path(".google.protobuf.Empty", "()")
        .btree_map(".")
        .include_file("talos_api.rs")
        .compile_fds_with_config(files, config)?;
    Ok(())
}
