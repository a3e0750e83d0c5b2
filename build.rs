//! Compiles the Talos protos without protoc.

fn main() {}
