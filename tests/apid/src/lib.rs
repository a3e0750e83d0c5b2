//! An embedded Talos API.
