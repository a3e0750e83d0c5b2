//! Nodes as they stand in racks, and what a host must show of each: the data set that unit tests, the simulated
//! Talos and the black-box tests share. README.md describes the form.
//!
//! [`Layout::named`] reads one file into [`Moment`]s: what the node is at each, and what the host must then show,
//! by default and under other settings. [`test_each!`] makes a test of every file.

mod address;
mod file;
mod node;
mod node_addresses;
mod routes;
mod shown;
mod wanted;

pub use address::{Mac, Prefix};
pub use node::{
    Address, Family, Flag, HostName, Lease, Link, LinkType, NextHop, Node, Parent, Protocol,
    Resolver, Route, RouteType, Scope, Stage,
};
pub use shown::{Dns, Network, Nic, Shown};
pub use wanted::Wanted;

include!(concat!(env!("OUT_DIR"), "/found.rs"));

/// One node over time.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The file's name without its ending.
    pub name: &'static str,
    /// The node as it first is, and after each change.
    pub moments: Vec<Moment>,
}

/// A node at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// What the node is.
    pub node: Node,
    /// What the host must show by default; nothing is looked at when there is no answer.
    pub shown: Option<Shown>,
    /// What readers of the host's view must find; `make readers` wants it of every layout.
    pub wanted: Option<Wanted>,
    /// What it must show under other settings.
    pub under: Vec<(Network, Shown)>,
}

impl Layout {
    /// The layout of `tests/layouts/<name>.yaml`.
    ///
    /// # Panics
    /// When there is no such file, or something in it is unknown, misspelt or missing; the message names file,
    /// line and key.
    pub fn named(name: &str) -> Self {
        let Some(&(name, text)) = TEXTS.iter().find(|(known, _)| *known == name) else {
            panic!("there is no tests/layouts/{name}.yaml");
        };
        match file::moments(text) {
            Ok(moments) => Self { name, moments },
            Err(error) => panic!("tests/layouts/{name}.yaml: {error}"),
        }
    }

    /// All layouts, by name.
    ///
    /// # Panics
    /// As [`Self::named`].
    pub fn all() -> Vec<Self> {
        TEXTS.iter().map(|(name, _)| Self::named(name)).collect()
    }

    /// The node as it first is.
    ///
    /// # Panics
    /// As [`Self::named`].
    pub fn node(name: &str) -> Node {
        Self::named(name).first().node.clone()
    }

    /// The first moment.
    ///
    /// # Panics
    /// Never: every layout has one.
    pub fn first(&self) -> &Moment {
        &self.moments[0]
    }
}
