//! Compiles the Talos protos (`proto/`) to client code, without protoc.

use std::error::Error;

include!("proto/files.rs");

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
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
