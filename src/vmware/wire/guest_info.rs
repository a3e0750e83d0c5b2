//! SetGuestInfo messages [guestInfo.h, guestInfoServer.c, hostinfo.h].
//!
//! ```text
//! SetGuestInfo SP SP type SP payload
//! 53 65 74 47 75 65 73 74 49 6e 66 6f 20 20 37 20 31 32 33 34 35 36 00   uptime 1234.56 s
//! ```
//!
//! Text payloads end with a NUL, which is counted; binary ones (NICs, detailed OS data) do not.

use std::time::Duration;

use super::message::MAX_MESSAGE;
use super::nic_info_v3::{MAX_ADDRESSES, MAX_ADDRESSES_V2, NicInfoV3};

/// INFO_DNS_NAME.
const DNS_NAME: u8 = 1;
/// INFO_DISK_FREE_SPACE.
const DISKS_V0: u8 = 3;
/// INFO_OS_NAME_FULL.
const OS_NAME_FULL: u8 = 5;
/// INFO_OS_NAME.
const OS_NAME: u8 = 6;
/// INFO_UPTIME.
const UPTIME: u8 = 7;
/// INFO_MEMORY.
const MEMORY: u8 = 8;
/// INFO_IPADDRESS_V2.
const NICS_V2: u8 = 9;
/// INFO_IPADDRESS_V3.
const NICS_V3: u8 = 10;
/// INFO_OS_DETAILED.
const OS_DETAILED: u8 = 11;

/// sizeof shortName in HostinfoDetailedDataHeader, its NUL included.
const SHORT_NAME_LEN: usize = 129;
/// sizeof fullName in HostinfoDetailedDataHeader, its NUL included.
const FULL_NAME_LEN: usize = 513;
/// sizeof HostinfoDetailedDataHeader: version, both names, two bytes of padding.
const DETAILED_HEADER_LEN: usize = 648;
/// HOSTINFO_DETAILED_DATA_VER_1.
const DETAILED_VERSION: u32 = 1;
/// MAX_DETAILED_FIELD_LEN: what `key='value'` with its NUL must stay below.
const MAX_DETAILED_FIELD: usize = 1024;

/// The host name, which becomes guest.hostName.
pub fn host_name(name: &str) -> Vec<u8> {
    text(DNS_NAME, name)
}

/// The OS in words, which becomes guest.guestFullName; for hosts that refuse [`os_detailed`].
pub fn os_full_name(name: &str) -> Vec<u8> {
    text(OS_NAME_FULL, name)
}

/// The OS as VMware's id, which becomes guest.guestId; for hosts that refuse [`os_detailed`].
pub fn os_short_name(name: &str) -> Vec<u8> {
    text(OS_NAME, name)
}

/// Time since boot, in hundredths of a second on the wire.
pub fn uptime(since_boot: Duration) -> Vec<u8> {
    text(UPTIME, &(since_boot.as_millis() / 10).to_string())
}

/// NICs with up to 2048 addresses each (type 10), fewer where the message would be too long for the host.
pub fn nics(info: &NicInfoV3) -> Vec<u8> {
    nics_of(NICS_V3, info, MAX_ADDRESSES)
}

/// NICs with up to 64 addresses each (type 9), for hosts that refuse [`nics`].
pub fn nics_v2(info: &NicInfoV3) -> Vec<u8> {
    nics_of(NICS_V2, info, MAX_ADDRESSES_V2)
}

/// The NICs with as many addresses each as the limit and the longest message allow: half a list is better than a
/// message that the host drops.
fn nics_of(kind: u8, info: &NicInfoV3, limit: usize) -> Vec<u8> {
    let whole = binary(kind, &info.encode(limit));
    if whole.len() <= MAX_MESSAGE {
        return whole;
    }
    let (mut fitting, mut too_many) = (0, limit);
    while too_many - fitting > 1 {
        let middle = fitting.midpoint(too_many);
        if binary(kind, &info.encode(middle)).len() <= MAX_MESSAGE {
            fitting = middle;
        } else {
            too_many = middle;
        }
    }
    binary(kind, &info.encode(fitting))
}

/// The OS in detail (type 11).
pub fn os_detailed(os: &DetailedOs) -> Vec<u8> {
    binary(OS_DETAILED, &os.encode())
}

/// File systems in their binary form (type 3); see [`super::disk_info`].
pub(super) fn disks_v0(payload: &[u8]) -> Vec<u8> {
    binary(DISKS_V0, payload)
}

/// Memory and processor statistics (type 8); see [`super::guest_stats`].
pub(super) fn memory(payload: &[u8]) -> Vec<u8> {
    binary(MEMORY, payload)
}

fn binary(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut message = format!("SetGuestInfo  {kind} ").into_bytes();
    message.extend_from_slice(payload);
    message
}

fn text(kind: u8, value: &str) -> Vec<u8> {
    let mut message = binary(kind, before_nul(value).as_bytes());
    message.push(0);
    message
}

/// The text up to its first NUL, where the host would end it.
fn before_nul(value: &str) -> &str {
    value.split('\0').next().unwrap_or_default()
}

/// Detailed OS data (HostinfoDetailedDataHeader and the text after it). Empty values are left out of the
/// message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DetailedOs {
    /// VMware's id such as `other6xlinux-64`, up to 128 bytes.
    pub short_name: String,
    /// The OS in words, up to 512 bytes.
    pub full_name: String,
    /// `X86` or `Arm`.
    pub architecture: String,
    /// `32` or `64`.
    pub bitness: String,
    /// os-release BUILD_ID.
    pub build_number: String,
    /// os-release CPE_NAME.
    pub cpe_string: String,
    /// os-release VERSION.
    pub distro_addl_version: String,
    /// os-release NAME.
    pub distro_name: String,
    /// os-release VERSION_ID.
    pub distro_version: String,
    /// uname's system name.
    pub family_name: String,
    /// uname's release.
    pub kernel_version: String,
    /// os-release PRETTY_NAME.
    pub pretty_name: String,
}

impl DetailedOs {
    /// The keys in their order on the wire, which is alphabetical.
    fn fields(&self) -> [(&'static str, &str); 10] {
        [
            ("architecture", &self.architecture),
            ("bitness", &self.bitness),
            ("buildNumber", &self.build_number),
            ("cpeString", &self.cpe_string),
            ("distroAddlVersion", &self.distro_addl_version),
            ("distroName", &self.distro_name),
            ("distroVersion", &self.distro_version),
            ("familyName", &self.family_name),
            ("kernelVersion", &self.kernel_version),
            ("prettyName", &self.pretty_name),
        ]
    }

    /// `key='value'` pairs. A value that would make its pair too long is left out as if it were empty.
    pub fn text(&self) -> String {
        let pairs: Vec<String> = self
            .fields()
            .into_iter()
            .filter_map(|(key, value)| {
                let mut escaped = String::with_capacity(value.len());
                for character in before_nul(value).trim_end().chars() {
                    if matches!(character, '\'' | '\\') {
                        escaped.push('\\');
                    }
                    escaped.push(character);
                }
                let pair = format!("{key}='{escaped}'");
                (!escaped.is_empty() && pair.len() + 1 < MAX_DETAILED_FIELD).then_some(pair)
            })
            .collect();
        pairs.join(" ")
    }

    /// Header and NUL-terminated text.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(DETAILED_HEADER_LEN + 256);
        bytes.extend_from_slice(&DETAILED_VERSION.to_le_bytes());
        push_fixed(&mut bytes, &self.short_name, SHORT_NAME_LEN);
        push_fixed(&mut bytes, &self.full_name, FULL_NAME_LEN);
        bytes.resize(DETAILED_HEADER_LEN, 0);
        bytes.extend_from_slice(self.text().as_bytes());
        bytes.push(0);
        bytes
    }
}

/// A field of `len` bytes: the text, cut so that at least one NUL follows.
fn push_fixed(bytes: &mut Vec<u8>, value: &str, len: usize) {
    let value = before_nul(value);
    let end = value.floor_char_boundary(value.len().min(len.saturating_sub(1)));
    let value = value.get(..end).unwrap_or_default();
    bytes.extend_from_slice(value.as_bytes());
    bytes.extend(std::iter::repeat_n(0, len.saturating_sub(value.len())));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vmx::codec::nic_info::NicInfo;

    use super::*;
    use crate::vmware::wire::nic_info_v3::{GuestNic, NicIp};

    fn talos() -> DetailedOs {
        DetailedOs {
            short_name: "other6xlinux-64".into(),
            full_name: "Linux 6.12.48-talos Talos (v1.11.0)".into(),
            architecture: "X86".into(),
            bitness: "64".into(),
            distro_name: "Talos".into(),
            distro_version: "v1.11.0".into(),
            family_name: "Linux".into(),
            kernel_version: "6.12.48-talos".into(),
            pretty_name: "Talos (v1.11.0)".into(),
            ..DetailedOs::default()
        }
    }

    #[test]
    fn text_messages_have_two_spaces_and_a_nul() {
        // The bytes of the protocol reference, which open-vm-tools makes of this uptime.
        assert_eq!(
            uptime(Duration::from_millis(1_234_569)),
            b"SetGuestInfo  7 123456\0"
        );
        // Observed with vmtoolsd 12.2.0, 19 bytes.
        assert_eq!(host_name("vm"), b"SetGuestInfo  1 vm\0");
        assert_eq!(os_full_name("a\0b"), b"SetGuestInfo  5 a\0");
        assert_eq!(
            os_short_name("debian12-64"),
            b"SetGuestInfo  6 debian12-64\0"
        );
    }

    #[test]
    fn a_nic_list_too_long_for_a_message_is_cut_to_what_fits() {
        let address = NicIp {
            ip: std::net::Ipv6Addr::LOCALHOST.into(),
            prefix_length: 64,
            origin: None,
            status: None,
        };
        let nic = GuestNic {
            mac: "00:50:56:ab:cd:ef".into(),
            addresses: vec![address; 3000],
            ..GuestNic::default()
        };
        for nic_count in [1, 2, 16] {
            let info = NicInfoV3 {
                nics: vec![nic.clone(); nic_count],
                ..NicInfoV3::default()
            };
            let message = nics(&info);
            assert!(message.len() <= MAX_MESSAGE, "{}", message.len());
            // One more address a NIC would not have fitted.
            assert!(message.len() + nic_count * 40 > MAX_MESSAGE);
            let decoded = NicInfo::decode(&message[17..]).unwrap();
            assert_eq!(decoded.nics.len(), nic_count);
        }
    }

    #[test]
    fn the_nic_fallback_differs_in_its_type_alone() {
        let info = NicInfoV3::default();
        let new = nics(&info);
        assert_eq!(
            new[..17],
            *b"\x53\x65\x74\x47\x75\x65\x73\x74\x49\x6e\x66\x6f\x20\x20\x31\x30\x20"
        );
        assert_eq!(nics_v2(&info), [b"SetGuestInfo  9 ", &new[17..]].concat());
    }

    #[test]
    fn detailed_data_has_the_layout_of_hostinfo_h() {
        let text = "architecture='X86' bitness='64' distroName='Talos' distroVersion='v1.11.0' \
                    familyName='Linux' kernelVersion='6.12.48-talos' prettyName='Talos (v1.11.0)'";
        let message = os_detailed(&talos());
        // 17 bytes of command, 648 of header (both sizes compiled from hostinfo.h), text, NUL.
        assert_eq!(message.len(), 818);
        let payload = &message[17..];
        assert_eq!(payload[..4], [1, 0, 0, 0]);
        assert_eq!(&payload[4..20], b"other6xlinux-64\0");
        assert_eq!(&payload[133..169], b"Linux 6.12.48-talos Talos (v1.11.0)\0");
        assert!(
            payload[20..133]
                .iter()
                .chain(&payload[169..648])
                .all(|&byte| byte == 0)
        );
        assert_eq!(payload[648..], [text.as_bytes(), b"\0"].concat());
    }

    #[test]
    fn values_are_escaped_trimmed_and_left_out_when_empty_or_too_long() {
        let os = DetailedOs {
            distro_name: r"a'b\c  ".into(),
            pretty_name: "x".repeat(1024),
            ..DetailedOs::default()
        };
        assert_eq!(os.text(), r"distroName='a\'b\\c'");
        // A pair and its NUL stay below 1024 bytes.
        for (len, kept) in [(1009, true), (1010, false)] {
            let os = DetailedOs {
                pretty_name: "x".repeat(len),
                ..DetailedOs::default()
            };
            assert_eq!(!os.text().is_empty(), kept, "{len}");
        }
    }

    /// Reads `key='value'` pairs as a host must.
    fn parse(text: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        let mut rest = text;
        while let Some((key, tail)) = rest.split_once("='") {
            let (mut value, mut end, mut escaped) = (String::new(), tail.len(), false);
            for (at, character) in tail.char_indices() {
                match character {
                    '\\' if !escaped => escaped = true,
                    '\'' if !escaped => {
                        end = at;
                        break;
                    }
                    _ => {
                        value.push(character);
                        escaped = false;
                    }
                }
            }
            pairs.push((key.trim_start().to_owned(), value));
            rest = tail.get(end + 1..).unwrap_or_default();
        }
        pairs
    }

    proptest! {
        #[test]
        fn any_name_stays_within_its_field(short in ".{0,200}", full in ".{0,700}", name in ".{0,300}", pretty in ".{0,300}") {
            let os = DetailedOs { short_name: short.clone(), full_name: full, distro_name: name.clone(), pretty_name: pretty.clone(), ..talos() };
            let message = os_detailed(&os);
            prop_assert!(message.starts_with(b"SetGuestInfo  11 "));
            prop_assert!(!os.text().contains('\0'));
            let payload = &message[17..];
            prop_assert_eq!(payload[132], 0);
            prop_assert_eq!(&payload[645..648], &[0, 0, 0]);
            prop_assert_eq!(payload.last(), Some(&0));
            let read = String::from_utf8(payload[4..133].split(|&byte| byte == 0).next().unwrap().to_vec()).unwrap();
            prop_assert!(short.starts_with(&read));
            let pairs = parse(std::str::from_utf8(&payload[648..payload.len() - 1]).unwrap());
            for (key, value) in [("distroName", name), ("prettyName", pretty)] {
                let value = before_nul(&value).trim_end().to_owned();
                let found = pairs.iter().find(|(found, _)| found == key).map(|(_, value)| value.clone());
                if value.is_empty() {
                    prop_assert_eq!(found, None);
                } else if value.len() < 500 {
                    prop_assert_eq!(found, Some(value));
                }
            }
        }
    }
}
