//! The bridge to Talos: MachineService and COSI resources over gRPC.

pub mod proto;
