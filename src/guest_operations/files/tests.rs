//! Files against a node that answers by a script, in virtual time.

mod archives;
mod documents;
mod links;
mod lists;
mod node;
mod snapshots;
mod support;
