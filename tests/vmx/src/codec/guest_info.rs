//! SetGuestInfo and SetGuestDiskInfo: what the guest tells of itself (guestInfo.h, guestInfoServer.c).
//!
//! `SetGuestInfo`, two spaces, decimal type, one space, payload. Text payloads end in one NUL, binary
//! ones have none.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Malformed;
use super::nic_info::NicInfo;

/// One decoded SetGuestInfo.
#[derive(Clone, Debug, PartialEq)]
pub enum GuestInfo {
    /// Type 1: host name.
    HostName(String),
    /// Type 2: NIC list V1, kept as bytes.
    NicsV1(Vec<u8>),
    /// Type 3: disks, binary.
    Disks(Vec<Disk>),
    /// Type 4: build text.
    Build(String),
    /// Type 5: OS full name.
    OsFull(String),
    /// Type 6: OS short name (guestId).
    OsShort(String),
    /// Type 7: uptime in hundredths of a second.
    Uptime(u64),
    /// Type 8: memory and CPU statistics.
    Stats(Vec<Stat>),
    /// Types 9 and 10: NIC list; the type it came in and what it says.
    Nics(u32, NicInfo),
    /// Type 11: detailed OS data.
    OsDetailed(OsDetailed),
}

/// HostinfoDetailedDataHeader and its text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OsDetailed {
    /// guestId.
    pub short: String,
    /// guestFullName.
    pub full: String,
    /// The `key='value'` fields, unescaped.
    pub fields: BTreeMap<String, String>,
}

/// One file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// Mount point.
    pub name: String,
    /// Free bytes.
    pub free: u64,
    /// Size in bytes.
    pub size: u64,
    /// File system type (JSON form only).
    pub fstype: Option<String>,
    /// VMX device names such as `scsi0:0` (JSON form only).
    pub devices: Vec<String>,
}

/// One datum of the statistics message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stat {
    /// GuestStatToolsID.
    pub id: u32,
    /// GuestValueUnits.
    pub units: u32,
    /// How much.
    pub value: Quantity,
}

impl Stat {
    /// The value as far as a float can hold it; `None` when the guest could not read it.
    pub fn number(&self) -> Option<f64> {
        match self.value {
            Quantity::Whole(value) => value.map(|value| value as f64),
            Quantity::Rate(value) => value,
        }
    }
}

/// A value in its type; `None` when the guest could not read it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Quantity {
    /// GuestTypeUint64.
    Whole(Option<u64>),
    /// GuestTypeDouble: something per second.
    Rate(Option<f64>),
}

/// Reads what follows `SetGuestInfo` (from the two spaces on).
///
/// # Errors
/// [`Malformed`]: unknown type, wrong spacing, a text without its NUL, a number that is none, wrong
/// struct sizes, or XDR trouble.
pub fn decode_guest_info(rest: &[u8]) -> Result<GuestInfo, Malformed> {
    let Some(rest) = rest.strip_prefix(b"  ") else {
        return Err(Malformed::new(
            "SetGuestInfo: two spaces expected before the type",
        ));
    };
    let Some(space) = rest.iter().position(|&byte| byte == b' ') else {
        return Err(Malformed::new("SetGuestInfo: no space after the type"));
    };
    let kind: u32 = std::str::from_utf8(&rest[..space])
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Malformed::new("SetGuestInfo: type is no number"))?;
    let payload = &rest[space + 1..];
    Ok(match kind {
        1 => GuestInfo::HostName(bounded(nul_text(payload, "type 1")?, 255)?),
        2 => GuestInfo::NicsV1(payload.to_vec()),
        3 => GuestInfo::Disks(disks_v0(payload)?),
        4 => GuestInfo::Build(nul_text(payload, "type 4")?),
        5 => GuestInfo::OsFull(bounded(nul_text(payload, "type 5")?, 511)?),
        6 => GuestInfo::OsShort(bounded(nul_text(payload, "type 6")?, 127)?),
        7 => GuestInfo::Uptime(
            nul_text(payload, "type 7")?
                .parse()
                .map_err(|_| Malformed::new("SetGuestInfo 7: uptime is no decimal number"))?,
        ),
        8 => GuestInfo::Stats(stats(payload)?),
        9 | 10 => {
            let info = NicInfo::decode(payload)?;
            if kind == 10 && info.version != 3 {
                return Err(Malformed::new("SetGuestInfo 10 carries a V2 list"));
            }
            if kind == 9 && info.nics.iter().any(|nic| nic.ips.len() > 64) {
                return Err(Malformed::new(
                    "SetGuestInfo 9: more than 64 addresses on a NIC",
                ));
            }
            GuestInfo::Nics(kind, info)
        }
        11 => GuestInfo::OsDetailed(os_detailed(payload)?),
        other => return Err(Malformed(format!("SetGuestInfo: type {other}"))),
    })
}

/// A text with exactly one NUL, at its end.
pub(crate) fn nul_text(payload: &[u8], what: &str) -> Result<String, Malformed> {
    let Some((0, text)) = payload.split_last().map(|(last, text)| (*last, text)) else {
        return Err(Malformed(format!("{what}: no NUL at the end")));
    };
    if text.contains(&0) {
        return Err(Malformed(format!("{what}: a NUL inside")));
    }
    String::from_utf8(text.to_vec()).map_err(|_| Malformed(format!("{what}: not UTF-8")))
}

fn bounded(text: String, max: usize) -> Result<String, Malformed> {
    if text.len() > max {
        return Err(Malformed(format!(
            "SetGuestInfo: {} bytes of text, at most {max}",
            text.len()
        )));
    }
    Ok(text)
}

const DETAILED_HEADER: usize = 648;

fn os_detailed(payload: &[u8]) -> Result<OsDetailed, Malformed> {
    if payload.len() <= DETAILED_HEADER {
        return Err(Malformed(format!(
            "SetGuestInfo 11: {} bytes",
            payload.len()
        )));
    }
    let (header, text) = payload.split_at(DETAILED_HEADER);
    if header[..4] != [1, 0, 0, 0] {
        return Err(Malformed::new("SetGuestInfo 11: version is not 1"));
    }
    if header[646..] != [0, 0] {
        return Err(Malformed::new(
            "SetGuestInfo 11: padding of the header is not zero",
        ));
    }
    let text = nul_text(text, "type 11")?;
    Ok(OsDetailed {
        short: char_array(&header[4..133], "short name")?,
        full: char_array(&header[133..646], "full name")?,
        fields: fields(&text)?,
    })
}

fn char_array(bytes: &[u8], what: &str) -> Result<String, Malformed> {
    let Some(end) = bytes.iter().position(|&byte| byte == 0) else {
        return Err(Malformed(format!("SetGuestInfo: {what} is not terminated")));
    };
    if bytes[end..].iter().any(|&byte| byte != 0) {
        return Err(Malformed(format!(
            "SetGuestInfo: bytes after the NUL of {what}"
        )));
    }
    String::from_utf8(bytes[..end].to_vec())
        .map_err(|_| Malformed(format!("SetGuestInfo: {what} is not UTF-8")))
}

/// `key='value' key='value'`, with `\'` and `\\` in values.
fn fields(text: &str) -> Result<BTreeMap<String, String>, Malformed> {
    let bad = || {
        Malformed(format!(
            "SetGuestInfo 11: {text:?} is not key='value' pairs"
        ))
    };
    let mut map = BTreeMap::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (key, tail) = rest.split_once("='").ok_or_else(bad)?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(bad());
        }
        let mut value = String::new();
        let mut chars = tail.char_indices();
        let end = loop {
            match chars.next().ok_or_else(bad)? {
                (at, '\'') => break at + 1,
                (_, '\\') => value.push(chars.next().ok_or_else(bad)?.1),
                (_, other) => value.push(other),
            }
        };
        if map
            .last_key_value()
            .is_some_and(|(last, _): (&String, _)| key <= last.as_str())
        {
            return Err(Malformed(format!("SetGuestInfo 11: {key} is out of order")));
        }
        if value.len() >= 1024 {
            return Err(Malformed(format!(
                "SetGuestInfo 11: {key} has {} bytes",
                value.len()
            )));
        }
        map.insert(key.to_owned(), value);
        rest = &tail[end..];
        if !rest.is_empty() {
            rest = rest
                .strip_prefix(' ')
                .filter(|more| !more.is_empty())
                .ok_or_else(bad)?;
        }
    }
    Ok(map)
}

fn disks_v0(payload: &[u8]) -> Result<Vec<Disk>, Malformed> {
    const ENTRY: usize = 116;
    let Some((&count, rest)) = payload.split_first() else {
        return Err(Malformed::new("SetGuestInfo 3: empty"));
    };
    let len = usize::from(count) * ENTRY;
    if rest.len() < len || rest.len() > len + 2 || rest[len..].iter().any(|&byte| byte != 0) {
        return Err(Malformed(format!(
            "SetGuestInfo 3: {} bytes for {count} disks",
            rest.len()
        )));
    }
    rest[..len]
        .chunks_exact(ENTRY)
        .map(|entry| {
            Ok(Disk {
                free: le64(&entry[..8]),
                size: le64(&entry[8..16]),
                name: char_array(&entry[16..], "disk name")?,
                fstype: None,
                devices: Vec::new(),
            })
        })
        .collect()
}

fn le64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |value, &byte| (value << 8) | u64::from(byte))
}

/// Reads the JSON of `SetGuestDiskInfo ` (its order and line breaks are fixed in open-vm-tools; here
/// only the content is held to the rules).
///
/// # Errors
/// [`Malformed`]: no NUL, no JSON, numbers that are not strings, names that are not base64.
pub fn decode_disk_info(rest: &[u8]) -> Result<Vec<Disk>, Malformed> {
    let bad = |what: &str| Malformed(format!("SetGuestDiskInfo: {what}"));
    let text = nul_text(rest, "SetGuestDiskInfo")?;
    let text = text
        .strip_prefix(' ')
        .ok_or_else(|| bad("no space after the command"))?;
    if !text.starts_with("{\n\"version\":\"1\",\n\"disks\":[\n") || !text.ends_with("\n]}") {
        return Err(bad("not the layout of version 1"));
    }
    let json: serde_json::Value = serde_json::from_str(text).map_err(|e| bad(&e.to_string()))?;
    let disks = json["disks"]
        .as_array()
        .ok_or_else(|| bad("no list of disks"))?;
    disks
        .iter()
        .map(|disk| {
            let string = |key: &str| disk[key].as_str().ok_or_else(|| bad(key));
            let number = |key: &str| {
                string(key)?
                    .parse::<u64>()
                    .map_err(|_| bad(&format!("{key} is no number")))
            };
            let name = base64(string("name")?).ok_or_else(|| bad("name is not base64"))?;
            Ok(Disk {
                name: String::from_utf8(name).map_err(|_| bad("name is not UTF-8"))?,
                free: number("free")?,
                size: number("size")?,
                fstype: disk["fstype"].as_str().map(str::to_owned),
                devices: disk["devices"]
                    .as_array()
                    .map(|list| {
                        list.iter()
                            .filter_map(|d| d.as_str().map(str::to_owned))
                            .collect()
                    })
                    .unwrap_or_default(),
            })
        })
        .collect()
}

/// Standard base64 with padding; `None` when it is not.
pub(crate) fn base64(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let body = text.trim_end_matches('=');
    if text.len() - body.len() > 2 {
        return None;
    }
    let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
    for byte in body.bytes() {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (bits == 0).then_some(out)
}

/// The statistics: a legacy struct of 112 bytes, then stats of tagged data (guestStats.h).
fn stats(payload: &[u8]) -> Result<Vec<Stat>, Malformed> {
    let bad = |what: String| Malformed(format!("SetGuestInfo 8: {what}"));
    if payload.len() < 112 || payload[..4] != [5, 0, 0, 0] {
        return Err(bad(format!("{} bytes, or no version 5", payload.len())));
    }
    let mut rest = &payload[112..];
    let mut list = Vec::new();
    while !rest.is_empty() {
        let Some((flags, tail)) = rest.split_first_chunk::<4>() else {
            return Err(bad("truncated flags".into()));
        };
        let flags = u32::from_le_bytes(*flags);
        rest = tail;
        if flags & !0xae != 0 || flags & 0x2c != 0x2c {
            return Err(bad(format!("flags {flags:#x}")));
        }
        let (mut id, mut kind, mut units, mut value) = (0, 0, 0, None);
        for bit in [0x02u32, 0x04, 0x08, 0x20, 0x80] {
            if flags & bit == 0 {
                continue;
            }
            let Some((size, tail)) = rest.split_first_chunk::<2>() else {
                return Err(bad("truncated size".into()));
            };
            let size = usize::from(u16::from_le_bytes(*size));
            if size > tail.len() {
                return Err(bad("truncated datum".into()));
            }
            let (datum, tail) = tail.split_at(size);
            rest = tail;
            if bit == 0x02 {
                if list.is_empty() != (datum == b"_tools/v1\0") {
                    return Err(bad("namespace on the wrong stat".into()));
                }
                continue;
            }
            if !matches!(size, 0 | 1 | 2 | 4 | 8) {
                return Err(bad(format!("datum of {size} bytes")));
            }
            let number = le64(datum);
            let small =
                || u32::try_from(number).map_err(|_| bad(format!("{number:#x} as id or unit")));
            match bit {
                0x04 => id = small()?,
                0x08 => kind = number,
                0x20 => units = small()?,
                _ => value = Some((number, size)),
            }
        }
        let value = match kind {
            9 => Quantity::Whole(value.map(|(number, _)| number)),
            11 => Quantity::Rate(value.map(rate).transpose().map_err(bad)?),
            other => return Err(bad(format!("type {other}"))),
        };
        list.push(Stat { id, units, value });
    }
    Ok(list)
}

/// A float or a double by its bits and their number; nothing at all is zero.
fn rate((bits, size): (u64, usize)) -> Result<f64, String> {
    match size {
        0 => Ok(0.0),
        4 => Ok(f64::from(f32::from_bits(bits as u32))),
        8 => Ok(f64::from_bits(bits)),
        _ => Err(format!("rate of {size} bytes")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::nic_info::tests::{GOLDEN, hex};
    use super::*;

    #[test]
    fn uptime_of_the_reference_is_read() {
        // guest-info §5.1
        let bytes = hex("53657447756573744 96e666f 20 20 37 20 313233343536 00");
        let rest = bytes.strip_prefix(b"SetGuestInfo").unwrap();
        assert_eq!(decode_guest_info(rest), Ok(GuestInfo::Uptime(123_456)));
        assert!(decode_guest_info(&rest[..rest.len() - 1]).is_err());
        assert!(decode_guest_info(&rest[1..]).is_err());
    }

    #[test]
    fn nics_are_read_as_10_and_as_9() {
        for kind in [9, 10] {
            let mut rest = format!("  {kind} ").into_bytes();
            rest.extend(hex(GOLDEN));
            let Ok(GuestInfo::Nics(got, info)) = decode_guest_info(&rest) else {
                panic!()
            };
            assert_eq!((got, info.nics.len()), (kind, 1));
        }
    }

    #[test]
    fn detailed_data_is_read() {
        let mut payload = vec![0; DETAILED_HEADER];
        payload[0] = 1;
        payload[4..18].copy_from_slice(b"other6xlinux-6");
        payload[133..138].copy_from_slice(b"Linux");
        payload.extend(b"architecture='X86' bitness='64' prettyName='Talos \\'v1\\''\0");
        let mut rest = b"  11 ".to_vec();
        rest.extend(&payload);
        let Ok(GuestInfo::OsDetailed(os)) = decode_guest_info(&rest) else {
            panic!()
        };
        assert_eq!(os.short, "other6xlinux-6");
        assert_eq!(os.full, "Linux");
        assert_eq!(os.fields["prettyName"], "Talos 'v1'");
        rest.pop();
        assert!(decode_guest_info(&rest).is_err());
    }

    #[test]
    fn detailed_fields_have_their_order_and_form() {
        assert!(fields("a='1' b='2'").is_ok());
        assert!(fields("").unwrap().is_empty());
        for bad in ["b='1' a='2'", "a='1' ", "a=1", "a='1", "='1'", "a='1'b='2'"] {
            assert!(fields(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn disks_of_both_forms_are_read() {
        // guest-info §5.6
        let json = b" {\n\"version\":\"1\",\n\"disks\":[\n{\"name\":\"L3Zhcg==\",\"free\":\"52613349376\",\"size\":\"53687091200\",\"fstype\":\"xfs\",\"devices\":[\"scsi0:0\"]}\n]}\0";
        let disks = decode_disk_info(json).unwrap();
        assert_eq!(disks[0].name, "/var");
        assert_eq!(disks[0].free, 52_613_349_376);
        assert_eq!(disks[0].devices, ["scsi0:0"]);
        let mut binary = hex("20203320 01 000000400c000000 000000800c000000 2f766172");
        binary.resize(4 + 1 + 116 + 2, 0);
        let Ok(GuestInfo::Disks(disks)) = decode_guest_info(&binary) else {
            panic!()
        };
        assert_eq!(disks[0].name, "/var");
        assert_eq!(disks[0].free, 52_613_349_376);
    }

    /// The example of guest-info §5.7, from the payload on.
    fn statistics() -> Vec<u8> {
        let mut payload = hex("05000000 01040000 00c03d0000000000");
        payload.resize(112, 0);
        payload.extend(hex(
            "ae000000 0a00 5f746f6f6c732f763100 0100 0b 0100 09 0200 0308 0200 0008 \
             ac000000 0100 04 0100 09 0200 0308 0400 00001800 \
             ac000000 0100 0c 0100 09 0200 0388 0000 \
             ac000000 0100 0a 0100 09 0100 03 0200 0010 \
             ac000000 0100 02 0100 0b 0100 42 0400 00409c44",
        ));
        payload
    }

    #[test]
    fn statistics_of_the_reference_are_read() {
        let payload = [b"  8 ", &statistics()[..]].concat();
        let Ok(GuestInfo::Stats(stats)) = decode_guest_info(&payload) else {
            panic!()
        };
        let values: Vec<_> = stats.iter().map(|stat| (stat.id, stat.value)).collect();
        let whole = |value| Quantity::Whole(Some(value));
        assert_eq!(
            values,
            [
                (11, whole(2048)),
                (4, whole(1_572_864)),
                (12, whole(0)),
                (10, whole(4096)),
                (2, Quantity::Rate(Some(1250.0)))
            ]
        );
        assert!(decode_guest_info(&payload[..payload.len() - 1]).is_err());
    }

    #[test]
    fn statistics_that_nobody_sends_are_refused() {
        let at = |offset: usize, byte: u8| {
            let mut payload = statistics();
            payload[offset] = byte;
            stats(&payload).map_err(|Malformed(why)| why)
        };
        let refused = |why: &str| Err(format!("SetGuestInfo 8: {why}"));
        assert_eq!(at(0, 4), refused("214 bytes, or no version 5"));
        // A bit too many; without id, type and unit.
        for flags in [0xaf, 0xaa, 0xa6, 0x8e] {
            assert_eq!(at(112, flags), refused(&format!("flags {flags:#x}")));
        }
        assert_eq!(at(118, b'x'), refused("namespace on the wrong stat"));
        assert_eq!(at(133, 12), refused("type 12"));
        assert_eq!(at(134, 3), refused("datum of 3 bytes"));
    }

    #[test]
    fn no_byte_of_statistics_can_hurt_the_reader() {
        let mut payload = statistics();
        for at in 0..payload.len() {
            assert!(stats(&payload[..at]).is_err() || at >= 112);
            let good = payload[at];
            for byte in 0..=u8::MAX {
                payload[at] = byte;
                let _ = stats(&payload);
            }
            payload[at] = good;
        }
    }
}
