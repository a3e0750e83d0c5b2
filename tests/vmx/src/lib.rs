//! A simulated VMX.
