//! Bodies that govmomi's encoders made (toolbox/vix of v0.52.0, as data), those of the simulated host, and lies.

use proptest::prelude::*;
use vmx::guest_operations::bodies;

use super::*;

/// Opcode, body as govmomi encodes it, and what it says.
fn golden() -> Vec<(u32, Vec<u8>, Operation<'static>)> {
    vec![
        (
            185,
            hex(
                "000a000000140000000200000002000000080000002f62696e2f62617368002d63202774616c6f7363746c20646d\
                 65736727002f00413d6200433d6400",
            ),
            Operation::StartProgram(StartProgram {
                path: "/bin/bash",
                arguments: "-c 'talosctl dmesg'",
                folder: "/",
            }),
        ),
        (
            185,
            hex("00090000000000000000000000000000000000000074616c6f7363746c00"),
            Operation::StartProgram(StartProgram {
                path: "talosctl",
                arguments: "",
                folder: "",
            }),
        ),
        (
            193,
            hex("018000000000000000000000"),
            Operation::Terminate { pid: 32769 },
        ),
        (
            186,
            hex("00000000000000000200000001000000000000000180000000000000"),
            Operation::ListProcesses {
                key: 0,
                offset: 0,
                pids: vec![1, 32769],
            },
        ),
        (
            186,
            hex("000000000000000000000000"),
            Operation::ListProcesses {
                key: 0,
                offset: 0,
                pids: vec![],
            },
        ),
        (
            187,
            hex("0200000015000000484f53544e414d450054414c4f535f535441474500"),
            Operation::ReadEnvironment {
                names: vec!["HOSTNAME", "TALOS_STAGE"],
            },
        ),
        (
            187,
            hex("0000000000000000"),
            Operation::ReadEnvironment { names: vec![] },
        ),
        (
            181,
            hex("0000000008000000040000000400000000000000676f766d6f6d692d002e747874002f746d7000"),
            Operation::MakeTemporary {
                prefix: "govmomi-",
                suffix: ".txt",
                folder: "/tmp",
            },
        ),
        (
            194,
            hex("00000000060000002f746d702f6100"),
            Operation::DeleteFile { path: "/tmp/a" },
        ),
        (
            195,
            hex("000000000600000000000000012f746d702f6100"),
            Operation::Write,
        ),
        (
            178,
            hex("000000000600000000000000012f746d702f6100"),
            Operation::Write,
        ),
        (
            179,
            hex("00000000060000000600000000000000002f746d702f61002f746d702f6200"),
            Operation::Write,
        ),
        (
            183,
            hex(
                "00000000000000000000000000000000000000000000000000000000000000000000060000002f746d702f6100",
            ),
            Operation::Write,
        ),
        (
            189,
            hex("000000000d000000002f70726f632f372f737464696e00"),
            Operation::TransferTo {
                path: "/proc/7/stdin",
            },
        ),
        (
            84,
            hex("06000000000000007061636b6574"),
            Operation::Hgfs { packet: b"packet" },
        ),
    ]
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn parse(opcode: u32, body: &[u8]) -> Result<Operation<'_>, VixError> {
    Operation::parse(opcode, body).unwrap()
}

#[test]
fn the_bodies_of_govmomi_are_read() {
    for (opcode, body, expected) in golden() {
        assert_eq!(parse(opcode, &body), Ok(expected), "{opcode}");
    }
}

#[test]
fn the_bodies_of_the_simulated_host_are_read() {
    for (opcode, body) in bodies::samples() {
        parse(opcode, &body).unwrap_or_else(|error| panic!("{opcode}: {error:?}"));
    }
    assert_eq!(
        parse(177, &bodies::list_files("/a", "b.*", 1, -2, 3)),
        Ok(Operation::ListFiles(ListFiles {
            path: "/a",
            pattern: "b.*",
            index: 1,
            most: -2,
            offset: 3
        }))
    );
    assert_eq!(
        parse(188, &bodies::transfer_from("/ä")),
        Ok(Operation::TransferFrom { path: "/ä" })
    );
}

#[test]
fn a_cut_body_is_an_error_at_every_offset() {
    // The fixed parts of vixCommands.h, without the header.
    let fixed = |opcode| match opcode {
        84 | 187 | 194 => 8,
        177 | 188 => 28,
        178 | 195 => 13,
        179 | 180 => 17,
        181 | 182 => 20,
        183 => 38,
        185 => 21,
        186 | 193 => 12,
        189 => 9,
        _ => 0,
    };
    for (opcode, body) in bodies::samples() {
        if fixed(opcode) == 0 {
            continue;
        }
        for end in 0..body.len() {
            let expected = if end < fixed(opcode) || matches!(opcode, 181 | 182) {
                VixError::INVALID_HEADER
            } else {
                VixError::INVALID_BODY
            };
            assert_eq!(
                parse(opcode, &body[..end]),
                Err(expected),
                "{opcode}: {end}"
            );
        }
    }
}

#[test]
fn lengths_that_lie_are_found() {
    const LIES: [u32; 4] = [0x7fff_ffff, 0x8000_0000, 0xffff_fffe, 0xffff_ffff];
    let lengths: [(u32, &[usize]); 13] = [
        (84, &[0]),
        (177, &[4, 8]),
        (178, &[4]),
        (179, &[4, 8]),
        (181, &[4, 8, 12, 16]),
        (183, &[34]),
        (185, &[1, 5, 9, 13, 17]),
        (186, &[8]),
        (187, &[0, 4]),
        (188, &[4]),
        (189, &[4]),
        (194, &[4]),
        (195, &[4]),
    ];
    for (opcode, ats) in lengths {
        let samples = bodies::samples();
        let (_, sample) = samples.iter().find(|(of, _)| *of == opcode).unwrap();
        for at in ats {
            let word = u32::from_le_bytes(sample[*at..at + 4].try_into().unwrap());
            for lie in LIES.into_iter().chain([word + 1, word.wrapping_sub(1)]) {
                if opcode == 84 && lie < word {
                    continue; // A packet may be shorter than what carries it.
                }
                if opcode == 186 && lie < word {
                    continue; // And a list.
                }
                let mut body = sample.clone();
                body[*at..at + 4].copy_from_slice(&lie.to_le_bytes());
                let parsed = parse(opcode, &body);
                assert!(
                    matches!(
                        parsed,
                        Err(VixError::INVALID_HEADER | VixError::INVALID_BODY)
                    ),
                    "{opcode}: {lie:#x} at {at}: {parsed:?}"
                );
            }
        }
    }
}

#[test]
fn a_path_without_its_nul_or_with_one_inside_is_no_path() {
    let of = |path: &[u8]| {
        let body = [&[0; 4], &(path.len() as u32 - 1).to_le_bytes()[..], path].concat();
        parse(194, &body).map(|operation| format!("{operation:?}"))
    };
    assert!(of(b"/tmp/a\0").is_ok());
    assert_eq!(of(b"/tmp/ab"), Err(VixError::INVALID_BODY));
    assert_eq!(of(b"/tmp\0a\0"), Err(VixError::INVALID_BODY));
    assert_eq!(of(b"/tmp/\xff\0"), Err(VixError::INVALID_UTF8));
    assert!(of(b"\0").is_ok(), "an empty one is another's business");
}

#[test]
fn every_operation_with_a_body_is_one_that_can_be_switched_off() {
    for opcode in 0..10_000 {
        if Operation::parse(opcode, &[]).is_some() {
            assert!(is_known(opcode), "{opcode}");
        }
    }
    for (opcode, known) in [
        (38, false),
        (58, false),
        (62, false),
        (184, false),
        (117, true),
        (9999, false),
    ] {
        assert_eq!(is_known(opcode), known, "{opcode}");
    }
}

proptest! {
    #[test]
    fn any_program_survives(path in "[^\0]{0,40}", arguments in "[^\0]{0,80}", folder in "[^\0]{0,20}") {
        let body = bodies::start_program(&path, &arguments, &folder);
        let program = StartProgram { path: &path, arguments: &arguments, folder: &folder };
        prop_assert_eq!(parse(185, &body), Ok(Operation::StartProgram(program)));
    }

    #[test]
    fn any_bytes_are_a_body_or_an_error(at in 0..19_usize, bytes: Vec<u8>, cut in 0..200_usize) {
        let samples = bodies::samples();
        let (opcode, sample) = &samples[at];
        let _ = parse(*opcode, &bytes);
        let mixed = [&sample[..cut.min(sample.len())], &bytes].concat();
        let _ = parse(*opcode, &mixed);
    }
}
