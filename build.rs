//! Compiles the Talos protos (`proto/`) to client code, without protoc.

use std::error::Error;

/// Everything else is imported by these.
const ROOTS: [&str; 9] = [
    "machine/machine.proto",
    "resource/config/config.proto",
    "resource/definitions/block/block.proto",
    "resource/definitions/extensions/extensions.proto",
    "resource/definitions/hardware/hardware.proto",
    "resource/definitions/k8s/k8s.proto",
    "resource/definitions/network/network.proto",
    "resource/definitions/runtime/runtime.proto",
    "v1alpha1/state.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let files = protox::compile(ROOTS, ["proto"])?;
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
