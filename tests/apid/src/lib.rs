//! An embedded Talos API: machine.MachineService and cosi.resource.State on machined's socket or behind
//! apid's TLS, scriptable while it runs.
//!
//! It is a real gRPC server with Talos' manners: roles per method, the access filter of resources, the
//! empty first message of a watch, events of power sequences, and the faults that a node shows in its
//! life. It serves on a thread of its own, so [`Apid`] is used alike from blocking tests, from tasks and
//! from programs; no method of it waits for a client unless its name says so (`wait_…` blocks the
//! thread, `until_…` suspends the task).
//!
//! ```
//! let directory = std::env::temp_dir().join(format!("apid-doc-{}", std::process::id()));
//! std::fs::create_dir_all(&directory)?;
//! let apid = apid::Apid::machined(directory.join("machine.sock"))?;
//! apid::scene::single_nic(&apid);
//! // … start the daemon with --machined-socket, then:
//! apid.set_address("eth0", "10.5.0.7/24");
//! apid.stop();
//! apid.restart()?;
//! assert_eq!(apid.call_count(), 0);
//! # std::fs::remove_dir_all(&directory)?;
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Not simulated: label and id queries, TLS maintenance mode, keepalive policing, the writing half of
//! cosi.resource.State (refused as an unknown method is).

mod apid;
mod catalog;
pub mod contents;
mod definitions;
mod door;
mod etcd;
mod events;
mod faults;
mod files;
mod journal;
mod layout;
mod logs;
pub mod machine;
mod machine_service;
mod method;
pub mod network;
mod node;
mod power;
pub mod proto;
pub mod resources;
mod runtime;
pub mod scene;
mod script;
mod sequence;
mod shared;
mod signal;
mod state_service;
pub mod storage;
mod store;
mod streams;
mod subscriber;
mod tls;

pub use apid::Apid;
pub use etcd::{API_SERVERS, ENDPOINTS, ENDPOINTS_NAMESPACE, EtcdBackend, EtcdCluster};
pub use files::{File, Kind as FileKind};
pub use journal::Call;
pub use layout::NODE_IP;
pub use method::{ADMIN, IMPERSONATOR, Method, OPERATOR, READER};
pub use node::{Node, another_machine, twin};
pub use power::PowerBehaviour;
pub use proto::definitions::enums::RuntimeMachineStage as Stage;
pub use proto::resource::config::MachineType;
pub use script::{Step, Trouble};
pub use sequence::Sequences;
pub use tls::{Certificate, TlsOptions};
pub use tonic::{Code, Status};
