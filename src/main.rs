//! Arguments → logging → daemon → exit code; nothing else.

fn main() {}
