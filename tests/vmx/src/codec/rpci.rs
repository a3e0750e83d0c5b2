//! RPCI commands as the host reads them, with the rules about NUL and trailing space that
//! open-vm-tools keeps (toolsRpc.c, rpcout.c, guestInfoServer.c).

use super::Malformed;
use super::guest_info::{Disk, GuestInfo, decode_disk_info, decode_guest_info, nul_text};

/// One RPCI command.
// One per message received: its size matters less than that it can be matched on.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// `info-set guestinfo.<key> <value>`; the key without its prefix.
    InfoSet {
        /// After `guestinfo.`.
        key: String,
        /// To the end of the message, its NUL cut.
        value: Vec<u8>,
    },
    /// `info-get guestinfo.<key>`.
    InfoGet(String),
    /// `tools.capability.<name> [value]`.
    Capability {
        /// After `tools.capability.`.
        name: String,
        /// Empty for capabilities without one.
        value: String,
    },
    /// `vmx.capability.<name> <value>`.
    VmxCapability {
        /// After `vmx.capability.`.
        name: String,
        /// Such as `toolbox`.
        value: String,
    },
    /// `tools.set.version <version>`.
    Version(u32),
    /// `tools.set.versiontype <version> <type>`.
    VersionType(u32, i32),
    /// `tools.os.statechange.status <success> <state>`.
    StateChangeStatus {
        /// Whether the guest says it can.
        success: bool,
        /// 1 halt, 2 reboot, 3 power on, 4 resume, 5 suspend.
        state: u32,
    },
    /// `log <text>`.
    Log(String),
    /// `SetGuestInfo  <type> …`.
    GuestInfo(GuestInfo),
    /// `SetGuestDiskInfo {…}`.
    DiskInfo(Vec<Disk>),
    /// `vmbackup.eventSet <event> <code> <description>`.
    BackupEvent {
        /// Such as `prov.snapshotCommit`.
        event: String,
        /// 0 is success.
        code: u32,
        /// Free text.
        description: String,
    },
    /// `GuestAppMonitor.Cmd.<command>`; the command, and its argument after a space.
    AppMonitor(String),
    /// Anything else: the name and the rest.
    Other(String, Vec<u8>),
}

impl Command {
    /// Reads one message.
    ///
    /// # Errors
    /// [`Malformed`] where open-vm-tools' form is known and this is not it.
    pub fn decode(message: &[u8]) -> Result<Self, Malformed> {
        let end = message
            .iter()
            .position(|&b| b == b' ' || b == 0)
            .unwrap_or(message.len());
        let name = std::str::from_utf8(&message[..end])
            .map_err(|_| Malformed::new("rpci: the command is not UTF-8"))?;
        if name.is_empty() {
            return Err(Malformed::new("rpci: empty command"));
        }
        let rest = &message[end..];
        if let Some(command) = name.strip_prefix("GuestAppMonitor.Cmd.") {
            // The library hands over the string without its terminator.
            if rest.contains(&0) {
                return Err(Malformed(format!("rpci: {name}: wants no NUL")));
            }
            let rest = String::from_utf8_lossy(rest);
            return Ok(Self::AppMonitor(format!("{command}{rest}")));
        }
        if let Some(capability) = name.strip_prefix("tools.capability.") {
            return capability_of(capability, rest);
        }
        if let Some(capability) = name.strip_prefix("vmx.capability.") {
            let value = argument(rest, name)?;
            return Ok(Self::VmxCapability {
                name: capability.to_owned(),
                value,
            });
        }
        Ok(match name {
            "info-set" => info_set(rest)?,
            "info-get" => {
                let text = optional_nul(rest);
                let key = text
                    .strip_prefix(b" guestinfo.")
                    .and_then(|k| std::str::from_utf8(k).ok());
                match key {
                    Some(key) => Self::InfoGet(key.trim_end_matches(' ').to_owned()),
                    None => Self::Other(name.to_owned(), rest.to_vec()),
                }
            }
            "tools.set.version" => Self::Version(number(&argument(rest, name)?, name)?),
            "tools.set.versiontype" => {
                let text = argument(rest, name)?;
                let (version, kind) = text.split_once(' ').ok_or_else(|| form(name))?;
                Self::VersionType(
                    number(version, name)?,
                    kind.parse().map_err(|_| form(name))?,
                )
            }
            "tools.os.statechange.status" => {
                let text = argument(rest, name)?;
                let (success, state) = text.split_once(' ').ok_or_else(|| form(name))?;
                let success = match success {
                    "0" => false,
                    "1" => true,
                    _ => return Err(form(name)),
                };
                let state = number(state, name)?;
                if !(1..=5).contains(&state) {
                    return Err(form(name));
                }
                Self::StateChangeStatus { success, state }
            }
            "log" => {
                let text = optional_nul(rest);
                if text.len() > 4096 {
                    return Err(Malformed(format!("rpci: log line of {} bytes", text.len())));
                }
                Self::Log(
                    String::from_utf8_lossy(text.strip_prefix(b" ").unwrap_or(text)).into_owned(),
                )
            }
            "SetGuestInfo" => Self::GuestInfo(decode_guest_info(rest)?),
            "SetGuestDiskInfo" => Self::DiskInfo(decode_disk_info(rest)?),
            "vmbackup.eventSet" => {
                let text = argument(rest, name)?;
                let mut parts = text.splitn(3, ' ');
                let (Some(event), Some(code), Some(description)) =
                    (parts.next(), parts.next(), parts.next())
                else {
                    return Err(form(name));
                };
                Self::BackupEvent {
                    event: event.to_owned(),
                    code: number(code, name)?,
                    description: description.to_owned(),
                }
            }
            _ => Self::Other(name.to_owned(), rest.to_vec()),
        })
    }
}

fn form(name: &str) -> Malformed {
    Malformed(format!("rpci: {name}: not its form"))
}

fn number(text: &str, name: &str) -> Result<u32, Malformed> {
    text.parse().map_err(|_| form(name))
}

fn optional_nul(rest: &[u8]) -> &[u8] {
    rest.strip_suffix(b"\0").unwrap_or(rest)
}

/// One space, text, NUL.
fn argument(rest: &[u8], name: &str) -> Result<String, Malformed> {
    let text = nul_text(rest, name)?;
    text.strip_prefix(' ')
        .map(str::to_owned)
        .ok_or_else(|| form(name))
}

/// Without a value: a trailing space and no NUL. With one: the value and a NUL.
fn capability_of(name: &str, rest: &[u8]) -> Result<Command, Malformed> {
    let whole = format!("tools.capability.{name}");
    let value = match rest {
        b" " => String::new(),
        b"" | b"\0" | b" \0" if matches!(name, "statechange" | "softpowerop_retry") => {
            return Err(Malformed(format!(
                "rpci: {whole}: wants one trailing space and no NUL"
            )));
        }
        rest => argument(rest, &whole)?,
    };
    Ok(Command::Capability {
        name: name.to_owned(),
        value,
    })
}

fn info_set(rest: &[u8]) -> Result<Command, Malformed> {
    let Some(pair) = rest.strip_prefix(b" guestinfo.") else {
        return Ok(Command::Other("info-set".to_owned(), rest.to_vec()));
    };
    let Some(space) = pair.iter().position(|&byte| byte == b' ') else {
        return Err(form("info-set"));
    };
    let key = std::str::from_utf8(&pair[..space]).map_err(|_| form("info-set"))?;
    let value = &pair[space + 1..];
    let is_tools_own = key == "ip" || key.starts_with("vmtools.");
    if is_tools_own && !value.ends_with(b"\0") {
        return Err(Malformed(format!(
            "rpci: info-set guestinfo.{key}: no NUL at the end"
        )));
    }
    Ok(Command::InfoSet {
        key: key.to_owned(),
        value: optional_nul(value).to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Messages seen from vmtoolsd 12.2.0 (traces.md).
    #[test]
    fn messages_of_vmtoolsd_are_read() {
        let decoded = |bytes: &[u8]| Command::decode(bytes).unwrap();
        assert_eq!(
            decoded(b"info-set guestinfo.vmtools.versionString 12.2.0\0"),
            Command::InfoSet {
                key: "vmtools.versionString".into(),
                value: b"12.2.0".to_vec()
            }
        );
        assert_eq!(
            decoded(b"vmx.capability.unified_loop toolbox\0"),
            Command::VmxCapability {
                name: "unified_loop".into(),
                value: "toolbox".into()
            }
        );
        assert_eq!(
            decoded(b"tools.capability.statechange "),
            Command::Capability {
                name: "statechange".into(),
                value: String::new()
            }
        );
        assert_eq!(
            decoded(b"tools.capability.features 36=0\0"),
            Command::Capability {
                name: "features".into(),
                value: "36=0".into()
            }
        );
        assert_eq!(
            decoded(b"tools.set.versiontype 12352 4\0"),
            Command::VersionType(12352, 4)
        );
        assert_eq!(
            decoded(b"tools.os.statechange.status 1 2\0"),
            Command::StateChangeStatus {
                success: true,
                state: 2
            }
        );
        assert_eq!(
            decoded(b"info-get guestinfo.ip"),
            Command::InfoGet("ip".into())
        );
        assert_eq!(
            decoded(b"vmbackup.eventSet reset 0 \0"),
            Command::BackupEvent {
                event: "reset".into(),
                code: 0,
                description: String::new()
            }
        );
    }

    #[test]
    fn forms_that_open_vm_tools_does_not_send_are_refused() {
        for message in [
            &b""[..],
            b"tools.capability.statechange",
            b"tools.capability.statechange \0",
            b"tools.set.versiontype 12352 4",
            b"tools.set.versiontype 12352\0",
            b"tools.os.statechange.status 1 2",
            b"tools.os.statechange.status 2 2\0",
            b"tools.os.statechange.status 1 9\0",
            b"info-set guestinfo.ip 10.0.0.1",
            b"SetGuestInfo 7 1\0",
        ] {
            assert!(
                Command::decode(message).is_err(),
                "{}",
                String::from_utf8_lossy(message)
            );
        }
    }
}
