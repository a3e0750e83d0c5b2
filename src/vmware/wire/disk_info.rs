//! File systems with their free space, which become guest.disk [guestInfoServer.c, guestInfo.h].
//!
//! ```text
//! SetGuestDiskInfo {            JSON of version 1: layout, order and line breaks are fixed
//! "version":"1",
//! "disks":[
//! {"name":"L3Zhcg==","free":"52613349376","size":"53687091200","fstype":"xfs","devices":["scsi0:0"]}
//! ]} NUL
//! ```
//!
//! Names are base64, numbers are strings. Hosts that refuse it get the binary form (version 0, type 3): a
//! count, then 116 bytes an entry: free and total in little-endian, mount point.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::guest_info;

/// sizeof name in PartitionEntry, its NUL included (PARTITION_NAME_SIZE).
const NAME_LEN: usize = 100;
/// The count of the binary form is one byte.
const MAX_ENTRIES_V0: usize = 255;
/// Zero bytes by which open-vm-tools' request is longer than its content.
const PADDING_V0: usize = 2;
/// Bytes of a device name with its NUL (DISK_DEVICE_NAME_SIZE).
const DEVICE_LEN: usize = 15;

/// One file system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DiskEntry {
    /// Mount point; cut to 99 bytes on the wire.
    pub name: String,
    /// Free bytes for an ordinary process.
    pub free: u64,
    /// Size in bytes.
    pub total: u64,
    /// Type of the file system such as `xfs`; empty when not known.
    pub fs_type: String,
    /// The virtual disks below, as the VMX names them (`scsi0:0`, `nvme0:1`): all of them, or none when not
    /// all are known.
    pub devices: Vec<String>,
}

/// All file systems as `SetGuestDiskInfo`.
pub fn disk_info(disks: &[DiskEntry]) -> Vec<u8> {
    let entries: Vec<String> = disks.iter().map(json).collect();
    let mut text = String::from("SetGuestDiskInfo {\n\"version\":\"1\",\n\"disks\":[\n");
    text.push_str(&entries.join(",\n"));
    if !entries.is_empty() {
        text.push('\n');
    }
    text.push_str("]}\0");
    text.into_bytes()
}

/// All file systems as type 3, for hosts that refuse [`disk_info`].
pub fn disk_info_v0(disks: &[DiskEntry]) -> Vec<u8> {
    let disks = disks.get(..MAX_ENTRIES_V0).unwrap_or(disks);
    let mut payload = vec![u8::try_from(disks.len()).unwrap_or(u8::MAX)];
    for disk in disks {
        let name = cut(&disk.name);
        payload.extend_from_slice(&disk.free.to_le_bytes());
        payload.extend_from_slice(&disk.total.to_le_bytes());
        payload.extend_from_slice(name.as_bytes());
        payload.extend(std::iter::repeat_n(0, NAME_LEN.saturating_sub(name.len())));
    }
    payload.extend([0; PADDING_V0]);
    guest_info::disks_v0(&payload)
}

/// One entry of the list. A file system type or device name with quotes or control characters, which a host
/// could not parse, is left out.
fn json(disk: &DiskEntry) -> String {
    let mut text = format!(
        "{{\"name\":\"{}\",\"free\":\"{}\",\"size\":\"{}\"",
        STANDARD.encode(cut(&disk.name)),
        disk.free,
        disk.total
    );
    let plain = |name: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:_-".contains(&byte);
        !name.is_empty() && name.bytes().all(is_plain)
    };
    if plain(&disk.fs_type) {
        text.push_str(&format!(",\"fstype\":\"{}\"", disk.fs_type));
    }
    let fits = |name: &String| plain(name) && name.len() < DEVICE_LEN;
    if !disk.devices.is_empty() && disk.devices.iter().all(fits) {
        let names: Vec<String> = disk
            .devices
            .iter()
            .map(|name| format!("\"{}\"", name.to_ascii_lowercase()))
            .collect();
        text.push_str(&format!(",\"devices\":[{}]", names.join(",")));
    }
    text.push('}');
    text
}

/// A mount point as it fits into its field, before any NUL.
fn cut(name: &str) -> &str {
    let name = name.split('\0').next().unwrap_or_default();
    let end = name.floor_char_boundary(name.len().min(NAME_LEN - 1));
    name.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn var() -> DiskEntry {
        DiskEntry {
            name: "/var".into(),
            free: 52_613_349_376,
            total: 53_687_091_200,
            fs_type: "xfs".into(),
            devices: vec!["scsi0:0".into()],
        }
    }

    #[test]
    fn the_json_is_laid_out_as_open_vm_tools_does() {
        // The example of the protocol reference, §5.6.
        let text = b"SetGuestDiskInfo {\n\"version\":\"1\",\n\"disks\":[\n{\"name\":\"L3Zhcg==\",\
            \"free\":\"52613349376\",\"size\":\"53687091200\",\"fstype\":\"xfs\",\"devices\":[\"scsi0:0\"]}\n]}\0";
        assert_eq!(disk_info(&[var()]), text);
        assert_eq!(
            disk_info(&[]),
            b"SetGuestDiskInfo {\n\"version\":\"1\",\n\"disks\":[\n]}\0"
        );
        let state = DiskEntry {
            name: "/system/state".into(),
            free: 1,
            total: 2,
            devices: vec!["SATA0:1".into(), "nvme0:0".into()],
            ..DiskEntry::default()
        };
        let text = String::from_utf8(disk_info(&[state, var()])).unwrap();
        assert!(
            text.contains(
                "\"size\":\"2\",\"devices\":[\"sata0:1\",\"nvme0:0\"]},\n{\"name\":\"L3Zhcg==\""
            ),
            "{text}"
        );
    }

    #[test]
    fn the_binary_form_has_open_vm_tools_size() {
        // The example of the protocol reference, §5.6: 135 bytes.
        let message = disk_info_v0(&[DiskEntry {
            free: 0x0c_4000_0000,
            total: 0x0c_8000_0000,
            ..var()
        }]);
        assert_eq!(message.len(), 135);
        assert_eq!(message[..17], *b"SetGuestInfo  3 \x01");
        assert_eq!(
            message[17..33],
            [0, 0, 0, 0x40, 0x0c, 0, 0, 0, 0, 0, 0, 0x80, 0x0c, 0, 0, 0]
        );
        assert_eq!(message[33..38], *b"/var\0");
        assert!(message[38..].iter().all(|&byte| byte == 0));
        assert_eq!(disk_info_v0(&[]), b"SetGuestInfo  3 \0\0\0");
    }

    #[test]
    fn what_does_not_fit_is_cut_or_left_out() {
        let disk = DiskEntry {
            name: format!("/{}", "ü".repeat(80)),
            fs_type: "x\"fs".into(),
            devices: vec!["scsi0:0".into(), "scsi000000:0000".into()],
            ..var()
        };
        let text = String::from_utf8(disk_info(std::slice::from_ref(&disk))).unwrap();
        assert!(
            !text.contains("fstype") && !text.contains("devices"),
            "{text}"
        );
        let name = text.split('"').nth(9).unwrap();
        assert_eq!(STANDARD.decode(name).unwrap().len(), 99);
        let long = DiskEntry {
            name: format!("/{}", "x".repeat(200)),
            ..var()
        };
        let message = disk_info_v0(&[long]);
        assert_eq!(message[131..133], *b"x\0", "the name has its NUL");
        let many = vec![disk; 300];
        let message = disk_info_v0(&many);
        assert_eq!(message[16], 255);
        assert_eq!(message.len(), 17 + 255 * 116 + 2);
    }

    fn entries() -> impl Strategy<Value = Vec<DiskEntry>> {
        let device = "(scsi|sata|nvme|ide)[0-9]:[0-9]{1,2}";
        let entry = (
            "/[^\0]{0,20}",
            any::<u64>(),
            any::<u64>(),
            "(xfs|ext4|)",
            proptest::collection::vec(device, 0..3),
        );
        let entry = entry.prop_map(|(name, free, total, fs_type, devices)| DiskEntry {
            name,
            free,
            total,
            fs_type,
            devices,
        });
        proptest::collection::vec(entry, 0..5)
    }

    proptest! {
        #[test]
        fn a_json_parser_reads_back_what_was_written(disks in entries()) {
            let message = disk_info(&disks);
            let text = std::str::from_utf8(&message).unwrap();
            let json: serde_json::Value = serde_json::from_str(
                text.strip_prefix("SetGuestDiskInfo ").unwrap().strip_suffix('\0').unwrap(),
            ).unwrap();
            prop_assert_eq!(&json["version"], "1");
            let read: Vec<DiskEntry> = json["disks"].as_array().unwrap().iter().map(|disk| {
                let text = |key: &str| disk[key].as_str().unwrap_or_default().to_owned();
                DiskEntry {
                    name: String::from_utf8(STANDARD.decode(text("name")).unwrap()).unwrap(),
                    free: text("free").parse().unwrap(),
                    total: text("size").parse().unwrap(),
                    fs_type: text("fstype"),
                    devices: disk["devices"].as_array().into_iter().flatten()
                        .map(|device| device.as_str().unwrap().to_owned()).collect(),
                }
            }).collect();
            prop_assert_eq!(read, disks);
        }

        #[test]
        fn any_entry_makes_a_whole_message(name in ".{0,200}", fs_type in ".{0,10}", device in ".{0,20}") {
            let disk = DiskEntry { name, fs_type, devices: vec![device], ..DiskEntry::default() };
            let message = disk_info(std::slice::from_ref(&disk));
            prop_assert_eq!(message.iter().position(|&byte| byte == 0), Some(message.len() - 1));
            let json = std::str::from_utf8(&message[17..message.len() - 1]).unwrap();
            prop_assert!(serde_json::from_str::<serde_json::Value>(json).is_ok(), "{}", json);
            prop_assert_eq!(disk_info_v0(&[disk]).len(), 135);
        }
    }
}
