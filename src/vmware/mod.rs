//! VMware's guest RPC: the front end towards a VMX.
//!
//! ```text
//! ┌──────┐   ┌───────────┐   ┌──────┐   ┌───────────────┐   ┌──────────┐
//! │ VMX  │◄─►│ transport │◄─►│ link │◄─►│ rpc           │   │ services │
//! │ host │   │           │   │      │   │ RPCI and TCLO │   │          │
//! └──────┘   └───────────┘   └──────┘   └───────────────┘   └──────────┘
//! ```
//! [`wire`] are the codecs of all of them. [`transport`] and [`link`] do I/O; the others are fed bytes, facts
//! and the time.

mod front_end;
pub mod link;
pub mod rpc;
mod rpci_queue;
pub mod services;
pub mod transport;
pub mod wire;

pub use front_end::{Event, Vmware};
