//! What a node is called, where one name must do.

/// Which of its names a host shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HostNameForm {
    /// That of the Kubernetes node: the vSphere cloud provider finds a virtual machine by exactly this name. The
    /// short host name while there is none.
    #[default]
    Node,
    /// The host name with its domain.
    Fqdn,
}
