//! The messages and clients generated from `proto/`, one module per package.
//!
//! Names and meanings are Talos': see `proto/README.md` for their origin. `google.protobuf.Empty` is `()`.
#![allow(
    missing_docs,
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    rustdoc::all,
    clippy::all
)]

include!(concat!(env!("OUT_DIR"), "/talos_api.rs"));

pub use talos::resource::definitions;
