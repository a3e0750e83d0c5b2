//! Guest operations as the judge plays them: a user, requests of that user and of others, and what a node answers.
#![allow(clippy::expect_used)]

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{
    GuestOperationsConfig, HaConfig, HaMonitor, InventoryConfig, QuiesceConfig, QuiesceMode,
    Rights, User,
};
use crate::facts::{Facts, Mount, Stage, Volume};
use crate::fuzz::Choices;
use crate::inquiry::{
    Answer, Container, Entry, EntryKind, Inquiry, MOST_IN_PIECE, Process, ResourceType, Software,
    Trouble, TroubleKind,
};
use crate::vmware::wire::hgfs::client::{self, Asked};
use crate::vmware::wire::text::terminated;

/// Who may ask.
pub(super) const USER: &str = "ops";
/// A token of that user, which counts on [`NODE`] at noon: no password has to be checked for it.
pub(super) const TOKEN: &str = "tvt1.eyJ1c2VyIjoib3BzIiwibm9kZSI6IjU2NGQwYTJjLTM4ZjQtN2E5MS1iMmM1LTBlMWYyYTNiNGM1ZCIsImlhdCI6MTc5MDAwMDAwMCwiZXhwIjoxNzkwMDAwNjAwfQ.gkrnBlLF76RyKv3WaZMUHySZ8xkSEYGPIdBAOgU3yLIF31wGQeEzTK1XAGwe3ve0ZUS_Zi7LEyT6muFxJyFsCw";
/// Where it counts.
const NODE: &str = "564d0a2c-38f4-7a91-b2c5-0e1f2a3b4c5d";
/// What it is checked with.
const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// Guest operations for [`USER`].
pub(super) fn config_of(rights: Rights) -> GuestOperationsConfig {
    let key = STANDARD.decode(PUBLIC_KEY).expect("it is base64");
    GuestOperationsConfig {
        enabled: true,
        users: vec![User {
            name: USER.to_owned(),
            password_hash: None,
            public_key: key.try_into().ok(),
            rights,
        }],
        node_files: vec!["/var/log".to_owned()],
    }
}

/// The settings with this number: off, on, or on with other rights.
pub(super) fn config(number: u8) -> GuestOperationsConfig {
    match number {
        0 => GuestOperationsConfig::default(),
        1 => config_of(Rights {
            files: false,
            ..Rights::default()
        }),
        _ => config_of(Rights {
            relay: true,
            ..Rights::default()
        }),
    }
}

/// The settings of quiescing with this number: off, synced only, or frozen for a short or a long time.
pub(super) fn quiesce(number: u8) -> QuiesceConfig {
    let (mode, seconds) = match number {
        0 => (QuiesceMode::Off, 8),
        1 => (QuiesceMode::Sync, 8),
        2 => (QuiesceMode::Freeze, 1),
        _ => (QuiesceMode::Freeze, 8),
    };
    QuiesceConfig {
        mode,
        max_freeze: Duration::from_secs(seconds),
        ..QuiesceConfig::default()
    }
}

/// What of the software is listed, by a number.
pub(super) fn inventory(number: u8) -> InventoryConfig {
    InventoryConfig {
        apps: number & 1 != 0,
        containers: number & 2 != 0,
    }
}

/// The settings of vSphere HA with this number: off, or what counts as alive, all of it after a short time.
pub(super) fn ha(number: u8) -> HaConfig {
    let monitor = match number {
        0 => return HaConfig::default(),
        1 => HaMonitor::Node,
        _ => HaMonitor::Ready,
    };
    HaConfig {
        monitor,
        unready_for: Duration::from_secs(120),
        silent_for: Duration::from_secs(60),
        settle: Duration::from_secs(3),
    }
}

/// A request about a quiesced snapshot, mostly one that makes sense.
pub(super) fn backup_request(choices: &mut Choices<'_>) -> Vec<u8> {
    match choices.below(8) {
        0..3 => b"vmbackup.start 1".to_vec(),
        3 => {
            let flags = [1, 1, 0, 1, u32::from(choices.below(3)), 0, 1, 0];
            let seconds = u32::from(choices.below(4));
            let words = flags.into_iter().chain([seconds, 0]);
            let words: Vec<u8> = words.flat_map(u32::to_be_bytes).collect();
            [&b"vmbackup.startWithOpts "[..], &words].concat()
        }
        4 | 5 => b"vmbackup.snapshotDone".to_vec(),
        6 => b"vmbackup.abort".to_vec(),
        _ => b"vmbackup.snapshotCompleted".to_vec(),
    }
}

/// The node on which the token counts and whose /var can be frozen, whatever else is known of it.
pub(super) fn node(facts: Facts) -> Facts {
    let mut facts = facts;
    facts.node.system_uuid = Some(NODE.to_owned());
    if facts.talos.is_some() {
        facts.stage.get_or_insert(Stage::Running);
        facts.storage.volumes.get_or_insert_with(|| {
            vec![Volume {
                id: "EPHEMERAL".to_owned(),
                location: "/dev/sda6".to_owned(),
                mount_location: "/dev/sda6".to_owned(),
                file_system: "xfs",
                ..Volume::default()
            }]
        });
        facts.storage.mounts.get_or_insert_with(|| {
            let mount = Mount {
                volume: "EPHEMERAL".to_owned(),
                target: "/var".to_owned(),
                ..Mount::default()
            };
            [mount].into()
        });
    }
    facts
}

/// A request, mostly of the user and well-formed.
pub(super) fn request(choices: &mut Choices<'_>) -> Vec<u8> {
    const OPCODES: [u32; 20] = [
        62, 84, 84, 84, 177, 178, 181, 185, 185, 186, 186, 187, 188, 189, 192, 193, 194, 190, 85,
        9999,
    ];
    let at = usize::from(choices.below(20));
    let opcode = OPCODES.get(at).copied().unwrap_or_default();
    let mut body = body(opcode, choices);
    if choices.below(16) == 0 {
        body.truncate(usize::from(choices.byte()));
    }
    let (kind, blob) = match choices.below(8) {
        0 => (1, credential(USER, "guess")),
        1 => (u32::from(choices.byte()), choices.bytes().to_vec()),
        _ => (1, credential(USER, TOKEN)),
    };
    message(opcode, &body, kind, &blob)
}

fn body(opcode: u32, choices: &mut Choices<'_>) -> Vec<u8> {
    const PATHS: [&str; 16] = [
        "/",
        "/talos",
        "/talos/",
        "/talos/dmesg.log",
        "/talos/check.json",
        "/talos/support.tgz",
        "/talos/services",
        "/talos/services/apid.log",
        "/talos/resources/members.yaml",
        "/tmp",
        "/tmp/avmware1b",
        "/proc/32769/stdout",
        "/proc/32769/stdin",
        "/var/log",
        "/var/log/a?format=tgz",
        "/../x",
    ];
    const PROGRAMS: [(&str, &str); 10] = [
        ("talosctl", "version"),
        ("talosctl", "dmesg"),
        ("/bin/talosctl", "dmesg -f"),
        ("talosctl", "logs apid --tail 3"),
        ("talosctl", "get members -o yaml"),
        ("talosctl", "support"),
        ("/bin/sh", "-c 'talosctl services' 1> /tmp/avmware1b 2>&1"),
        ("talos-vmtoolsd", "check"),
        ("http.RoundTrip", "talos"),
        ("apid.Stream", ""),
    ];
    let path = PATHS
        .get(usize::from(choices.below(16)))
        .copied()
        .unwrap_or_default();
    match opcode {
        84 => {
            let packet = hgfs(path, choices);
            [&words(&[len(&packet), 0])[..], &packet].concat()
        }
        177 | 188 => {
            let index = u32::from(choices.below(3));
            let most = u32::from(choices.byte());
            [
                &words(&[0, len(path.as_bytes()), 0, index, most, 0, 0])[..],
                &terminated(path),
            ]
            .concat()
        }
        178 => [
            &words(&[0, len(path.as_bytes()), 0])[..],
            &[0],
            &terminated(path),
        ]
        .concat(),
        181 => [&words(&[0, 1, 1, 0, 0])[..], b"a\0b\0\0"].concat(),
        185 => {
            let at = usize::from(choices.below(10));
            let (program, arguments) = PROGRAMS.get(at).copied().unwrap_or_default();
            [
                &[0][..],
                &words(&[
                    len(program.as_bytes()) + 1,
                    len(arguments.as_bytes()) + 1,
                    0,
                    0,
                    0,
                ]),
                &terminated(program),
                &terminated(arguments),
            ]
            .concat()
        }
        186 => words(&[u32::from(choices.below(3)), choices.word() % 100_000, 0]),
        187 => words(&[0, 0]),
        189 => [
            &words(&[0, len(path.as_bytes())])[..],
            &[0],
            &terminated(path),
        ]
        .concat(),
        193 => words(&[32_768 + u32::from(choices.below(8)), 0, 0]),
        194 => [&words(&[0, len(path.as_bytes())])[..], &terminated(path)].concat(),
        _ => Vec::new(),
    }
}

/// A packet of a transfer; its session and its handle are among those that are likely.
fn hgfs(path: &str, choices: &mut Choices<'_>) -> Vec<u8> {
    let name = client::name(path);
    let handle = u32::from(choices.below(4));
    let session = u64::from(choices.below(4));
    let offset = u64::from(choices.word() % 70_000);
    let asked = match choices.below(7) {
        0 => Asked::CreateSession {
            flags: 1,
            most_in_packet: 63_488,
        },
        1 => Asked::DestroySession,
        2 => Asked::OpenV3 {
            mode: 0,
            flags: 0,
            name,
        },
        3 => Asked::Read {
            handle,
            offset,
            size: 61_440,
        },
        4 => Asked::Close { handle },
        5 => Asked::AttributesV3 { name },
        _ => Asked::Write {
            handle,
            offset: 0,
            data: b"abc".to_vec(),
        },
    };
    asked.encode(1, session)
}

/// The next answer to an inquiry, by a number: one that fits, or not. Whether it is the last.
pub(super) fn answer(inquiry: &Inquiry, number: u8) -> (Answer, bool) {
    let trouble = |kind, status| {
        let trouble = Trouble {
            kind,
            text: "why".to_owned(),
            status,
        };
        (Answer::End(Err(trouble)), true)
    };
    match number {
        0..4 => (fitting(inquiry, number), false),
        4 => (Answer::Bytes(vec![b'x'; MOST_IN_PIECE]), false),
        5 => trouble(TroubleKind::Away, 14),
        6 => trouble(TroubleKind::Denied, 7),
        7 => trouble(TroubleKind::NotFound, 5),
        8 => trouble(TroubleKind::TooLong, 8),
        9 => (Answer::Processes(Vec::new()), false),
        _ => (Answer::End(Ok(())), true),
    }
}

fn fitting(inquiry: &Inquiry, number: u8) -> Answer {
    let entry = |name: &str, kind| Entry {
        name: name.to_owned(),
        kind,
        size: u64::from(number),
        modified: 0,
        mode: 0o100_644,
        uid: 0,
        gid: 0,
    };
    match inquiry {
        Inquiry::Processes => {
            let count = 400 * u64::from(number);
            let process = |pid| Process {
                pid,
                command: "init".to_owned(),
                line: "/sbin/init ".repeat(10),
            };
            Answer::Processes((1..=count).map(process).collect())
        }
        Inquiry::Services => Answer::Services(vec!["apid".to_owned(), "etcd".to_owned()]),
        Inquiry::Software => {
            let image = |n: u64| Container {
                namespace: if n.is_multiple_of(2) {
                    "k8s.io"
                } else {
                    "system"
                }
                .to_owned(),
                id: "etcd".to_owned(),
                image: format!("registry.example/{}:v{n}", "image".repeat(60)),
            };
            let number = u64::from(number);
            Answer::Software(Software {
                services: (0..2000 * number)
                    .map(|n| format!("ext-service-{n}"))
                    .collect(),
                containers: (0..400 * number).map(image).collect(),
                containerd: Some("v2.1.4".to_owned()),
                is_partial: number == 2,
            })
        }
        Inquiry::ResourceTypes => Answer::ResourceTypes(vec![ResourceType {
            name: "Members.cluster.talos.dev".to_owned(),
            namespace: "cluster".to_owned(),
            aliases: Vec::new(),
        }]),
        Inquiry::List { .. } => Answer::Entries(vec![
            entry(".", EntryKind::Folder),
            entry("a", EntryKind::File),
            entry("b", EntryKind::Link("/etc/shadow".to_owned())),
        ]),
        Inquiry::Checks => Answer::Checks(Vec::new()),
        Inquiry::Call { .. } => Answer::Message(vec![number]),
        Inquiry::Read { .. }
        | Inquiry::Dmesg { .. }
        | Inquiry::Logs { .. }
        | Inquiry::Resources { .. }
        | Inquiry::Show(_)
        | Inquiry::Apid => Answer::Bytes(vec![b'a'; 1 + 5000 * usize::from(number)]),
    }
}

fn message(opcode: u32, body: &[u8], kind: u32, credential: &[u8]) -> Vec<u8> {
    let total = 51 + len(body) + len(credential);
    [
        &b"Vix_1_Relayed_Command \"play\"\0"[..],
        &words(&[0xd00d_0001]),
        &5_u16.to_le_bytes(),
        &words(&[total, 51, len(body), len(credential)]),
        &[5],
        &words(&[opcode, 0, 0, 0, 0, 0, kind]),
        body,
        credential,
    ]
    .concat()
}

fn credential(name: &str, secret: &str) -> Vec<u8> {
    let plain = [&terminated(name)[..], &terminated(secret)].concat();
    [
        &words(&[len(name.as_bytes()), len(secret.as_bytes())])[..],
        STANDARD.encode(plain).as_bytes(),
        b"\0",
    ]
    .concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}
