//! The messages, servers and clients generated from `proto/`, one module per package.
#![allow(
    missing_debug_implementations,
    unreachable_pub,
    unused_qualifications,
    elided_lifetimes_in_paths,
    rustdoc::all,
    clippy::all
)]

include!(concat!(env!("OUT_DIR"), "/talos_api.rs"));

pub use talos::resource::definitions;
