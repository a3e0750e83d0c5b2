//! Entries for fuzzing, see [`crate::fuzz`].
#![allow(clippy::expect_used, clippy::panic)]

use std::net::IpAddr;

use super::datamap::{DataMap, Value};
use super::guest_info::{self, DetailedOs};
use super::guest_rpc_packet::{Deframer, Kind, Packet, PacketError};
use super::guest_stats::GuestStats;
use super::hypervisor::Platform;
use super::nic_info_v3::{
    DhcpConfig, DnsConfig, GuestNic, IpOrigin, IpStatus, MAX_ADDRESSES, NicInfoV3, NicIp, Route,
};
use super::ovf_env;
use super::text::{self, TcloRequest};
use super::vix::{self, Property, VixRequest};
use crate::fuzz::Choices;

/// What decodes is encoded to bytes that decode to the same.
pub fn fuzz_data_map(bytes: &[u8]) {
    if let Ok(map) = DataMap::decode(bytes) {
        assert_eq!(DataMap::decode(&encoded(&map)).as_ref(), Ok(&map));
    }
}

/// The first byte cuts the rest into chunks. The packets do not depend on the chunks, and each is encoded to
/// bytes that give it again.
pub fn fuzz_guest_rpc_packet(bytes: &[u8]) {
    let Some((chunk, stream)) = bytes.split_first() else {
        return;
    };
    let whole = packets(std::iter::once(stream));
    let cut = packets(stream.chunks(usize::from(*chunk).max(1)));
    assert_eq!(whole, cut);
    for packet in whole.0 {
        assert_packet_survives(packet);
    }
}

/// What decodes is encoded to bytes that decode to the same.
pub fn fuzz_nic_info(bytes: &[u8]) {
    if let Ok(info) = NicInfoV3::decode(bytes) {
        assert_eq!(
            NicInfoV3::decode(&info.encode(MAX_ADDRESSES)).as_ref(),
            Ok(&info)
        );
    }
}

/// What decodes is encoded to bytes that decode to the same.
pub fn fuzz_guest_stats(bytes: &[u8]) {
    if let Ok(stats) = GuestStats::decode(bytes) {
        // Compared as bytes: a rate may be no number, which equals nothing.
        let encoded = stats.encode();
        let again = GuestStats::decode(&encoded).map(|stats| stats.encode());
        assert_eq!(again, Ok(encoded));
    }
}

/// The OVF environment, as an administrator wrote it.
pub fn fuzz_ovf_env(bytes: &[u8]) {
    let _ = ovf_env::holds_config(bytes);
}

/// Arguments of `Vix_1_Relayed_Command`: body and credential lie within them.
pub fn fuzz_vix(bytes: &[u8]) {
    if let Ok(request) = VixRequest::parse(bytes) {
        assert!(request.body.len() + request.credential.len() <= bytes.len());
    }
}

/// A TCLO request taken apart: all parts are parts of it.
pub fn fuzz_tclo_text(bytes: &[u8]) {
    let Some(TcloRequest { name, args }) = TcloRequest::parse(bytes) else {
        return;
    };
    assert!(!name.is_empty() && !name.contains(&b' ') && !name.contains(&0));
    assert!(bytes.ends_with(args));
    if let Some((key, value)) = text::key_value(args) {
        assert!(!key.is_empty() && !key.contains(&b' ') && !value.is_empty());
        assert!(!value.contains(&0));
    }
    let _ = text::number(args);
    assert!(text::printable(bytes).len() <= 4 * 128 + '…'.len_utf8());
}

/// The firmware's words on arm64: up to 255 bytes of the vendor's name, their number in front, then a table.
pub fn fuzz_hypervisor(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let vendor = choices.bytes();
    let platform = Platform::of_firmware(choices.rest(), vendor);
    let _ = platform.hypervisor.to_string();
}

/// Values of every encoder, made out of the bytes, come back.
pub fn fuzz_encoders(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    match choices.below(5) {
        0 => {
            let info = nic_info(&mut choices);
            assert_eq!(
                NicInfoV3::decode(&info.encode(MAX_ADDRESSES)).as_ref(),
                Ok(&info)
            );
            assert!(guest_info::nics(&info).starts_with(b"SetGuestInfo  10 "));
            assert!(guest_info::nics_v2(&info).starts_with(b"SetGuestInfo  9 "));
        }
        1 => {
            let map = data_map(&mut choices);
            assert_eq!(DataMap::decode(&encoded(&map)).as_ref(), Ok(&map));
        }
        2 => assert_packet_survives(Packet {
            kind: if choices.flag() {
                Kind::Data
            } else {
                Kind::Ping
            },
            payload: choices.bytes().to_vec(),
            fast_close: choices.flag(),
        }),
        3 => {
            let os = detailed_os(&mut choices);
            let message = guest_info::os_detailed(&os);
            assert!(message.starts_with(b"SetGuestInfo  11 ") && message.ends_with(b"\0"));
            assert!(!os.text().contains('\0'));
        }
        _ => {
            let properties = choices.list(8, |choices| {
                let value = match choices.below(4) {
                    0 => Property::Integer(choices.word() as i32),
                    1 => Property::Bool(choices.flag()),
                    2 => Property::Int64(i64::from_le_bytes(choices.array())),
                    _ => Property::Text(choices.text()),
                };
                (choices.word() as i32, value)
            });
            assert!(vix::property_list(&properties).is_ascii());
        }
    }
}

fn encoded(map: &DataMap) -> Vec<u8> {
    let mut out = Vec::new();
    map.encode(&mut out);
    out
}

fn packets<'b>(chunks: impl Iterator<Item = &'b [u8]>) -> (Vec<Packet>, Option<PacketError>) {
    let mut deframer = Deframer::new();
    let mut packets = Vec::new();
    for chunk in chunks {
        deframer.push(chunk);
        loop {
            match deframer.next_packet() {
                Ok(Some(packet)) => packets.push(packet),
                Ok(None) => break,
                Err(error) => return (packets, Some(error)),
            }
        }
    }
    (packets, None)
}

fn assert_packet_survives(packet: Packet) {
    let bytes = packet.clone().encode();
    assert_eq!(
        packets(std::iter::once(&bytes[..])),
        (vec![packet], None),
        "{bytes:?}"
    );
}

fn data_map(choices: &mut Choices<'_>) -> DataMap {
    let mut map = DataMap::new();
    let string = |choices: &mut Choices<'_>| [&[choices.byte()], choices.bytes()].concat();
    for _ in 0..choices.below(6) {
        let value = match choices.below(4) {
            0 => Value::Int64(i64::from_le_bytes(choices.array())),
            1 => Value::String(string(choices)),
            2 => Value::Int64List(choices.list(6, |choices| i64::from_le_bytes(choices.array()))),
            _ => Value::StringList(choices.list(6, string)),
        };
        map.insert(choices.word(), value);
    }
    map
}

fn ip(choices: &mut Choices<'_>) -> IpAddr {
    if choices.flag() {
        choices.array::<4>().into()
    } else {
        choices.array::<16>().into()
    }
}

fn nic_info(choices: &mut Choices<'_>) -> NicInfoV3 {
    NicInfoV3 {
        nics: choices.list(4, |choices| GuestNic {
            mac: choices.text(),
            addresses: choices.list(5, |choices| NicIp {
                ip: ip(choices),
                prefix_length: choices.byte().into(),
                origin: choices.maybe(|_| IpOrigin::Dhcp),
                status: choices.maybe(|_| IpStatus::Preferred),
            }),
            dns: choices.maybe(dns),
            dhcp_v4: choices.maybe(dhcp),
            dhcp_v6: choices.maybe(dhcp),
        }),
        routes: choices.list(5, |choices| Route {
            destination: ip(choices),
            prefix_length: choices.byte().into(),
            next_hop: choices.maybe(ip),
            nic: choices.word(),
            kind: choices.word(),
            metric: choices.word(),
        }),
        dns: choices.maybe(dns),
        dhcp_v4: choices.maybe(dhcp),
        dhcp_v6: choices.maybe(dhcp),
    }
}

fn dns(choices: &mut Choices<'_>) -> DnsConfig {
    DnsConfig {
        host_name: choices.maybe(Choices::text),
        domain: choices.maybe(Choices::text),
        servers: choices.list(4, ip),
        suffixes: choices.list(4, Choices::text),
    }
}

fn dhcp(choices: &mut Choices<'_>) -> DhcpConfig {
    DhcpConfig {
        enabled: choices.flag(),
        settings: choices.text(),
    }
}

fn detailed_os(choices: &mut Choices<'_>) -> DetailedOs {
    let mut value = || String::from_utf8_lossy(choices.bytes()).into_owned();
    DetailedOs {
        short_name: value(),
        full_name: value(),
        architecture: value(),
        bitness: value(),
        build_number: value(),
        cpe_string: value(),
        distro_addl_version: value(),
        distro_name: value(),
        distro_version: value(),
        family_name: value(),
        kernel_version: value(),
        pretty_name: value(),
    }
}
