//! Vectors: specs as Talos 1.13 serialises them, with made-up addresses.

use super::network::ADDRESS_SPECS;
use super::*;
use crate::facts::Facts;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex
        .chars()
        .filter_map(|c| c.to_digit(16))
        .map(|digit| digit as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Ids that mean something to one source or another, and one that does not.
const IDS: [&str; 13] = [
    "hostname",
    "eth0",
    "routed",
    "vip/eth0/x",
    "dhcp4/eth0/x",
    "resolvers",
    MACHINE_STATUS_ID,
    "machine-type",
    "nodename",
    "kubelet",
    "securitystate",
    node::SYSTEM_INFORMATION_ID,
    "",
];

const HOSTNAME: &str = "0a03637031 120b6578616d706c652e6f7267";
const ADDRESS_V4: &str = "0a080a040a0000051018 3002 3a0465746830 4002 508001";
const ADDRESS_V6: &str = "0a140a10fd0000000000000000000000000000051040 3002 3a0465746830 400a";
const LINK_ETH0: &str =
    "0802 1001 2a06005056010203 f20106005056010203 38dc0b 5006 7a07766d786e657433 b00101 b801904e";
const LINK_LO: &str = "0801 108406 b801ffffffffffffffffff01";
const NODE_ADDRESS: &str = "0a080a040a0000051018";
const MACHINE_STATUS_RUNNING: &str = "0804 12020801";

#[test]
fn host_names_have_a_domain_or_not() {
    let name = host_name(&bytes(HOSTNAME)).unwrap();
    assert_eq!(name.fqdn(), "cp1.example.org");
    let short = host_name(&bytes("0a03637031")).unwrap();
    assert_eq!(short.fqdn(), "cp1");
    assert_eq!(host_name(&[]), Err(Malformed::NoName));
}

#[test]
fn addresses_of_both_families() {
    let v4 = address(&bytes(ADDRESS_V4)).unwrap().unwrap();
    assert_eq!(
        v4,
        Address {
            ip: ip("10.0.0.5"),
            prefix_length: 24,
            link_name: "eth0".into(),
            link_index: 2,
            scope: AddressScope::Global,
            status: AddressStatus::Preferred,
            temporary: false,
            announced: false,
        }
    );
    let v6 = address(&bytes(ADDRESS_V6)).unwrap().unwrap();
    assert_eq!((v6.ip, v6.prefix_length), (ip("fd00::5"), 64));
}

#[test]
fn the_local_address_of_a_point_to_point_link_is_ours() {
    let spec = AddressStatusSpec {
        address: Some(NetIpPrefix {
            ip: vec![10, 9, 0, 2],
            prefix_length: 32,
        }),
        local: Some(NetIp {
            ip: vec![10, 9, 0, 1],
        }),
        ..AddressStatusSpec::default()
    };
    let decoded = address(&spec.encode_to_vec()).unwrap().unwrap();
    assert_eq!(decoded.ip, ip("10.9.0.1"));
}

#[test]
fn unset_addresses_are_none_and_zones_are_cut() {
    assert_eq!(address(&[]), Ok(None));
    assert_eq!(super::ip(&[]), Ok(None));
    let mut zoned = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].to_vec();
    zoned.extend(b"eth0");
    assert_eq!(super::ip(&zoned), Ok(Some(ip("fe80::1"))));
    assert_eq!(super::ip(&[1, 2, 3]), Err(Malformed::AddressLength(3)));
    let long = NetIpPrefix {
        ip: vec![10, 0, 0, 1],
        prefix_length: 33,
    };
    assert_eq!(prefix(Some(&long)), Err(Malformed::PrefixLength(33)));
}

#[test]
fn address_flags_are_told() {
    for (flags, status, temporary) in [
        (0x80, AddressStatus::Preferred, false),
        (0x20, AddressStatus::Deprecated, false),
        (0x21, AddressStatus::Deprecated, true),
        (0x40, AddressStatus::Tentative, false),
        (0x48, AddressStatus::Duplicate, false),
    ] {
        let mut spec = AddressStatusSpec::decode(&*bytes(ADDRESS_V4)).unwrap();
        spec.flags = flags;
        spec.scope = Scope::ScopeLink.into();
        let decoded = address(&spec.encode_to_vec()).unwrap().unwrap();
        assert_eq!(
            (decoded.status, decoded.temporary),
            (status, temporary),
            "{flags:#x}"
        );
        assert_eq!(decoded.scope, AddressScope::Link);
    }
}

#[test]
fn links_real_and_not() {
    let eth0 = link("eth0", &bytes(LINK_ETH0)).unwrap();
    assert!(eth0.is_physical() && eth0.up);
    assert_eq!(eth0.index, 2);
    assert_eq!(eth0.mac, Some(Mac([0, 0x50, 0x56, 1, 2, 3])));
    assert_eq!(eth0.permanent_mac, eth0.mac);
    let lo = link("lo", &bytes(LINK_LO)).unwrap();
    assert_eq!((lo.arp_type, lo.mac, lo.up), (772, None, true));
}

#[test]
fn a_link_is_up_as_talos_sees_it() {
    use OperationalState as State;
    let up = |state: State, flags: u32, kind: &str, link_state: bool| {
        let spec = LinkStatusSpec {
            r#type: 1,
            flags,
            kind: kind.into(),
            operational_state: state.into(),
            link_state,
            ..LinkStatusSpec::default()
        };
        link("x", &spec.encode_to_vec()).unwrap().up
    };
    assert!(up(State::OperStateUp, 0, "", false));
    assert!(up(State::OperStateUnknown, 0x41, "", true));
    assert!(!up(State::OperStateUnknown, 0x41, "", false));
    assert!(up(State::OperStateUnknown, 0x41, "wireguard", false));
    assert!(!up(State::OperStateUnknown, 0x80, "wireguard", false));
    assert!(!up(State::OperStateDown, 0x41, "", true));
    assert!(!up(State::OperStateLowerLayerDown, 0x41, "bond", true));
}

#[test]
fn node_addresses_keep_talos_order() {
    assert_eq!(
        node_addresses(&bytes(NODE_ADDRESS)).unwrap(),
        [ip("10.0.0.5")]
    );
    let mut facts = Facts::default();
    let lists = Resources::from([
        ("routed".to_owned(), vec![ip("10.0.0.9"), ip("10.0.0.5")]),
        ("accumulative".to_owned(), vec![ip("10.0.0.1")]),
    ]);
    assert!((NODE_ADDRESSES.publish)(&mut facts, &lists));
    assert_eq!(
        facts.node_addresses.unwrap().best(),
        [ip("10.0.0.9"), ip("10.0.0.5")]
    );
}

#[test]
fn stages_have_their_numbers() {
    assert_eq!(stage(&bytes(MACHINE_STATUS_RUNNING)), Ok(Stage::Running));
    assert_eq!(stage(&[]), Ok(Stage::Unknown));
    assert_eq!(stage_of(5), Stage::Rebooting);
    assert_eq!(stage_of(6), Stage::ShuttingDown);
    assert_eq!(stage_of(99), Stage::Unknown);
}

#[test]
fn virtual_ips_are_what_a_vip_operator_assigned() {
    let spec = bytes("0a080a040a0500641020 120465746830 3803");
    let virtual_ips = |id: &str| {
        let wish = (ADDRESS_SPECS.decode)(id, &spec).unwrap().unwrap();
        let mut facts = Facts::default();
        (ADDRESS_SPECS.publish)(&mut facts, &[(id.to_owned(), wish)].into());
        facts.virtual_ips.unwrap()
    };
    assert_eq!(
        virtual_ips("vip/eth0/eth0/10.5.0.100/32"),
        [ip("10.5.0.100")].into()
    );
    assert_eq!(virtual_ips("dhcp4/eth0/eth0/10.5.0.100/32"), [].into());
}

#[test]
fn no_resource_is_watched_twice() {
    let mut kinds: Vec<_> = ALL
        .iter()
        .map(|watched| (watched.kind().namespace, watched.kind().kind))
        .collect();
    let number = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), number);
}

#[test]
fn equal_facts_are_no_change() {
    let mut facts = Facts::default();
    let names = Resources::from([("hostname".to_owned(), host_name(&bytes(HOSTNAME)).unwrap())]);
    assert!((HOST_NAME.publish)(&mut facts, &names));
    assert!(!(HOST_NAME.publish)(&mut facts, &names));
    // The last known name stands when the resource goes away.
    assert!(!(HOST_NAME.publish)(&mut facts, &Resources::from([])));
    assert!(facts.host_name.is_some());
}

#[test]
fn truncated_specs_never_panic() {
    for vector in [
        HOSTNAME,
        ADDRESS_V4,
        ADDRESS_V6,
        LINK_ETH0,
        LINK_LO,
        NODE_ADDRESS,
        MACHINE_STATUS_RUNNING,
    ] {
        let bytes = bytes(vector);
        for len in 0..bytes.len() {
            decode_all(&bytes[..len]);
        }
    }
}

proptest::proptest! {
    #[test]
    fn arbitrary_specs_never_panic(bytes: Vec<u8>) {
        decode_all(&bytes);
    }

    #[test]
    fn an_ip_is_what_it_was(original: IpAddr) {
        let bytes = match original {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        proptest::prop_assert_eq!(super::ip(&bytes), Ok(Some(original)));
    }
}

/// As each of the resources that are read, under each id that means something.
pub(super) fn decode_all(spec: &[u8]) {
    let _ = api_servers(spec);
    for watched in ALL {
        for id in IDS {
            let mut values = watched.values();
            let _ = values.set(id, (0, 0), spec);
            values.publish(&mut Facts::default());
        }
    }
}

fn address_spec(last: u8, flags: u32) -> Vec<u8> {
    AddressStatusSpec {
        address: Some(NetIpPrefix {
            ip: vec![10, 0, 0, last],
            prefix_length: 24,
        }),
        link_index: 2,
        flags,
        ..AddressStatusSpec::default()
    }
    .encode_to_vec()
}

#[test]
fn addresses_of_a_link_come_in_the_order_in_which_they_have_come() {
    static SOURCE: Source<Address> = ADDRESSES;
    let mut values = SOURCE.values();
    let mut facts = Facts::default();
    assert_eq!(
        values.set("eth0/10.0.0.9/24", (7, 1), &address_spec(9, 0)),
        Ok(true)
    );
    assert_eq!(
        values.set("eth0/10.0.0.5/24", (7, 2), &address_spec(5, 0)),
        Ok(true)
    );
    let mut order = |values: &dyn Values| {
        values.publish(&mut facts);
        let addresses = facts.addresses.iter().flatten();
        addresses.map(|it| it.ip.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(order(&*values), ["10.0.0.9", "10.0.0.5"]);
    // A change of state leaves it where it is; who comes again comes last.
    assert_eq!(
        values.set("eth0/10.0.0.9/24", (7, 1), &address_spec(9, 0x20)),
        Ok(true)
    );
    assert_eq!(order(&*values), ["10.0.0.9", "10.0.0.5"]);
    assert!(values.remove("eth0/10.0.0.9/24"));
    assert_eq!(
        values.set("eth0/10.0.0.9/24", (8, 0), &address_spec(9, 0)),
        Ok(true)
    );
    assert_eq!(order(&*values), ["10.0.0.5", "10.0.0.9"]);
}
