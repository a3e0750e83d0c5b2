//! Programs against a Talos that answers by hand, in virtual time.

mod ends;
mod files;
mod lists;
mod node;
mod outputs;
mod relay;
mod starts;
mod stream;
