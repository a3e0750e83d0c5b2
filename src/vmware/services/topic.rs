//! Every publication: what it is called, what the host answers when it has it, and what stands in for it.

/// A publication. Their order is that on the wire when several are due at a time: within a group it is that of
/// open-vm-tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Topic {
    /// One of the guest variables that say which agent this is.
    Version(usize),
    /// One loop serves all commands.
    UnifiedLoop,
    /// Files can be fetched by HGFS.
    HgfsServer,
    /// Soft power operations are carried out.
    StateChange,
    /// Soft power operations may be asked for again.
    SoftPowerOpRetry,
    /// Time since boot.
    Uptime,
    /// Who looks after the tools, with the kind of tools.
    VersionType,
    /// The same without the kind.
    VersionNumber,
    /// Everything known of the OS.
    OsDetailed,
    /// The OS in words.
    OsFullName,
    /// VMware's id of the OS.
    OsShortName,
    /// The name of the node.
    HostName,
    /// NICs with all their addresses.
    Nics,
    /// NICs with fewer addresses.
    NicsV2,
    /// The primary address, as a guest variable.
    Address,
    /// One of the guest variables with what only Talos knows.
    Variable(usize),
    /// The guest variable with what is known of quiesced snapshots.
    Quiesce,
    /// The guest variable with what is known of migrations.
    Vmotion,
    /// The guest variable with how far a power operation has come.
    Power,
    /// File systems with types and devices.
    Disks,
    /// File systems without.
    DisksV0,
    /// Memory and processor statistics.
    Statistics,
    /// The guest variable with the software that runs.
    Applications,
    /// The guest variable with the images of containers.
    Images,
}

/// The kind of all guest variables.
pub(super) const VARIABLES: &str = "guest variables";
/// The kind of guest information without another form.
pub(super) const GUEST_INFORMATION: &str = "guest information";
/// What to do where the host takes no guest information.
pub(super) const SET_INFO_REMEDY: &str =
    "clear isolation.tools.setInfo.disable in the VM's configuration";

/// Which answers mean that the host has stored a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// `1 ` with whatever text.
    Status,
    /// `1 ` without text: key and value messages, where a text means "not updated" [guestInfoServer.c].
    EmptyText,
}

/// What is known of a publication beforehand.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spec {
    /// The command, for the log.
    pub(super) command: &'static str,
    /// One refusal is logged for all topics of a kind.
    pub(super) kind: &'static str,
    /// Which answers mean that the host has it.
    pub(super) acceptance: Acceptance,
    /// What happens instead when the host refuses, for the log.
    pub(super) fallback: &'static str,
    /// What an operator can do when the host refuses, for the log.
    pub(super) remedy: &'static str,
    /// The older form of another topic: it is sent once the host has refused that one, which then rests until the
    /// host forgets.
    pub(super) stands_in_for: Option<Topic>,
    /// Whether a message that was lost or refused is sent again.
    pub(super) repeated: bool,
}

impl Topic {
    /// Whether it rests while file systems are frozen: what registers the tools does not, nor what says that they are frozen.
    pub(super) const fn rests_while_frozen(self) -> bool {
        !matches!(
            self,
            Self::UnifiedLoop
                | Self::HgfsServer
                | Self::StateChange
                | Self::SoftPowerOpRetry
                | Self::Uptime
                | Self::VersionType
                | Self::VersionNumber
                | Self::Quiesce
                | Self::Power
        )
    }

    /// Its row of the table.
    pub(super) const fn spec(self) -> Spec {
        match self {
            Self::Version(_) => variable("info-set guestinfo.vmtools"),
            Self::UnifiedLoop => status("vmx.capability.unified_loop"),
            Self::HgfsServer => status("tools.capability.hgfs_server").or("none: no file transfer"),
            Self::StateChange => {
                status("tools.capability.statechange").or("none: no soft power operations")
            }
            Self::SoftPowerOpRetry => status("tools.capability.softpowerop_retry"),
            Self::Uptime => empty_text("SetGuestInfo 7").guest_info(),
            Self::VersionType => status("tools.set.versiontype").or("tools.set.version"),
            Self::VersionNumber => status("tools.set.version").instead_of(Self::VersionType),
            Self::OsDetailed => status("SetGuestInfo 11").or("SetGuestInfo 5 and 6"),
            Self::OsFullName => empty_text("SetGuestInfo 5")
                .guest_info()
                .instead_of(Self::OsDetailed),
            Self::OsShortName => empty_text("SetGuestInfo 6")
                .guest_info()
                .instead_of(Self::OsDetailed),
            Self::HostName => empty_text("SetGuestInfo 1").guest_info(),
            Self::Nics => status("SetGuestInfo 10").or("SetGuestInfo 9"),
            Self::NicsV2 => status("SetGuestInfo 9").guest_info().instead_of(Self::Nics),
            Self::Address => variable("info-set guestinfo.ip"),
            Self::Variable(_) | Self::Quiesce | Self::Power | Self::Vmotion => {
                variable("info-set guestinfo.vmtools.talos")
            }
            Self::Disks => empty_text("SetGuestDiskInfo").or("SetGuestInfo 3"),
            Self::DisksV0 => empty_text("SetGuestInfo 3")
                .guest_info()
                .instead_of(Self::Disks),
            Self::Statistics => status("SetGuestInfo 8").guest_info().once(),
            Self::Applications => variable("info-set guestinfo.appInfo"),
            Self::Images => variable("info-set guestinfo.vmtools.containerinfo"),
        }
    }
}

const fn status(command: &'static str) -> Spec {
    Spec {
        command,
        kind: command,
        acceptance: Acceptance::Status,
        fallback: "none",
        remedy: "see vmware.log of the VM",
        stands_in_for: None,
        repeated: true,
    }
}

/// A guest variable: a host that refuses one refuses all.
const fn variable(command: &'static str) -> Spec {
    Spec {
        kind: VARIABLES,
        remedy: "clear guest_rpc.rpci.auth.cmd.info-set and isolation.tools.setInfo.disable in the VM's \
                 configuration, or set guestinfo.variables to false; talos-vmtoolsd check says which it is",
        ..status(command)
    }
}

const fn empty_text(command: &'static str) -> Spec {
    Spec {
        acceptance: Acceptance::EmptyText,
        ..status(command)
    }
}

impl Spec {
    const fn or(self, fallback: &'static str) -> Self {
        Self { fallback, ..self }
    }

    /// Guest information without another form: a host that refuses one kind of it mostly refuses all.
    const fn guest_info(self) -> Self {
        Self {
            kind: GUEST_INFORMATION,
            remedy: SET_INFO_REMEDY,
            ..self
        }
    }

    const fn instead_of(self, topic: Topic) -> Self {
        Self {
            stands_in_for: Some(topic),
            ..self
        }
    }

    const fn once(self) -> Self {
        Self {
            repeated: false,
            ..self
        }
    }
}
