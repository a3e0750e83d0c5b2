//! The group `inventory`: what is listed of the software on the machine.

/// What is listed of the software on the machine.
///
/// `default()` is blank; the defaults are in [`super::table::SETTINGS`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InventoryConfig {
    /// Talos' services and what they are part of, with their versions (guestinfo.appInfo).
    pub apps: bool,
    /// The images of running containers (guestinfo.vmtools.containerinfo).
    pub containers: bool,
}

impl InventoryConfig {
    /// Whether nothing is listed.
    pub const fn is_off(self) -> bool {
        !self.apps && !self.containers
    }
}
