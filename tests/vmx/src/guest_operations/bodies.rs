//! What goes before and after the header of a VIX request: the body of each operation, and the credential.

/// Numbers of the operations (VIX_COMMAND_…).
pub mod op {
    #![allow(missing_docs)]
    pub const WAIT_FOR_TOOLS: u32 = 38;
    pub const CAPTURE_SCREEN: u32 = 58;
    pub const GET_TOOLS_STATE: u32 = 62;
    pub const HGFS: u32 = 84;
    pub const LIST_FILES: u32 = 177;
    pub const MAKE_FOLDER: u32 = 178;
    pub const MOVE_FILE: u32 = 179;
    pub const MOVE_FOLDER: u32 = 180;
    pub const MAKE_TEMPORARY: u32 = 181;
    pub const MAKE_TEMPORARY_FOLDER: u32 = 182;
    pub const SET_ATTRIBUTES: u32 = 183;
    pub const START_PROGRAM: u32 = 185;
    pub const LIST_PROCESSES: u32 = 186;
    pub const READ_ENVIRONMENT: u32 = 187;
    pub const TRANSFER_FROM: u32 = 188;
    pub const TRANSFER_TO: u32 = 189;
    pub const ACQUIRE: u32 = 190;
    pub const RELEASE: u32 = 191;
    pub const VALIDATE: u32 = 192;
    pub const TERMINATE: u32 = 193;
    pub const DELETE_FILE: u32 = 194;
    pub const DELETE_FOLDER: u32 = 195;
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its type.
    pub kind: u32,
    /// Its bytes.
    pub blob: Vec<u8>,
}

impl Credential {
    /// None.
    pub fn none() -> Self {
        Self {
            kind: 0,
            blob: Vec::new(),
        }
    }

    /// Name and password, type 1.
    pub fn named(name: &str, password: &str) -> Self {
        Self {
            kind: 1,
            blob: named(name, password),
        }
    }
}

/// The blob of types 1 and 4.
pub fn named(name: &str, password: &str) -> Vec<u8> {
    let plain = [name.as_bytes(), b"\0", password.as_bytes(), b"\0"].concat();
    let mut blob = Vec::new();
    word(&mut blob, name.len());
    word(&mut blob, password.len());
    blob.extend(base64(&plain).into_bytes());
    blob.push(0);
    blob
}

/// ListProcessesEx (186).
pub fn list_processes(key: u32, offset: u32, pids: &[u64]) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(key.to_le_bytes());
    body.extend(offset.to_le_bytes());
    word(&mut body, pids.len());
    for pid in pids {
        body.extend(pid.to_le_bytes());
    }
    body
}

/// TerminateProcess (193).
pub fn terminate(pid: u64) -> Vec<u8> {
    let mut body = pid.to_le_bytes().to_vec();
    word(&mut body, 0);
    body
}

/// StartProgram (185), without environment.
pub fn start_program(path: &str, arguments: &str, folder: &str) -> Vec<u8> {
    start_program_with(path, arguments, folder, &[])
}

/// StartProgram (185).
pub fn start_program_with(
    path: &str,
    arguments: &str,
    folder: &str,
    environment: &[&str],
) -> Vec<u8> {
    let strings: Vec<Vec<u8>> = [path, arguments, folder].map(optional).into();
    let environment_bytes: Vec<u8> = environment
        .iter()
        .flat_map(|entry| terminated(entry))
        .collect();
    let mut body = vec![0];
    for string in &strings {
        word(&mut body, string.len());
    }
    word(&mut body, environment.len());
    word(&mut body, environment_bytes.len());
    body.extend(strings.concat());
    body.extend(environment_bytes);
    body
}

/// ReadEnvVariables (187).
pub fn read_environment(names: &[&str]) -> Vec<u8> {
    let bytes: Vec<u8> = names.iter().flat_map(|name| terminated(name)).collect();
    let mut body = Vec::new();
    word(&mut body, names.len());
    word(&mut body, bytes.len());
    body.extend(bytes);
    body
}

/// ListFiles (177). An empty pattern is none.
pub fn list_files(path: &str, pattern: &str, index: i32, most: i32, offset: u64) -> Vec<u8> {
    let mut body = Vec::new();
    word(&mut body, 0);
    word(&mut body, path.len());
    word(&mut body, pattern.len());
    body.extend(index.to_le_bytes());
    body.extend(most.to_le_bytes());
    body.extend(offset.to_le_bytes());
    body.extend(terminated(path));
    if !pattern.is_empty() {
        body.extend(terminated(pattern));
    }
    body
}

/// InitiateFileTransferFromGuest (188).
pub fn transfer_from(path: &str) -> Vec<u8> {
    list_files(path, "", 0, 0, 0)
}

/// InitiateFileTransferToGuest (189).
pub fn transfer_to(path: &str, overwrite: bool) -> Vec<u8> {
    with_flag(&[path], None, overwrite)
}

/// CreateDirectoryEx (178).
pub fn make_folder(path: &str) -> Vec<u8> {
    with_flag(&[path], Some(0), true)
}

/// DeleteFileEx (194).
pub fn delete_file(path: &str) -> Vec<u8> {
    let mut body = Vec::new();
    word(&mut body, 0);
    word(&mut body, path.len());
    body.extend(terminated(path));
    body
}

/// DeleteDirectoryEx (195).
pub fn delete_folder(path: &str) -> Vec<u8> {
    with_flag(&[path], Some(0), true)
}

/// MoveFileEx and MoveDirectory (179, 180).
pub fn move_file(from: &str, to: &str) -> Vec<u8> {
    with_flag(&[from, to], Some(0), true)
}

/// CreateTempFileEx and TempDirectory (181, 182).
pub fn make_temporary(prefix: &str, suffix: &str, folder: &str) -> Vec<u8> {
    let mut body = Vec::new();
    word(&mut body, 0);
    for part in [prefix, suffix, folder] {
        word(&mut body, part.len());
    }
    word(&mut body, 0);
    for part in [prefix, suffix, folder] {
        body.extend(terminated(part));
    }
    body
}

/// SetGuestFileAttributes (183): mode 0644.
pub fn set_attributes(path: &str) -> Vec<u8> {
    let mut body = Vec::new();
    word(&mut body, 0x40);
    body.extend([0; 8 + 8 + 4 + 4]);
    word(&mut body, 0o644);
    body.extend([0, 0]);
    word(&mut body, path.len());
    body.extend(terminated(path));
    body
}

/// An HGFS packet (84).
pub fn hgfs(packet: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    word(&mut body, packet.len());
    body.extend(60i32.to_le_bytes());
    body.extend(packet);
    body
}

/// A valid body for each operation that has one, by number.
pub fn samples() -> Vec<(u32, Vec<u8>)> {
    vec![
        (op::HGFS, hgfs(&[0; 60])),
        (op::LIST_FILES, list_files("/talos", ".*", 0, 10, 0)),
        (op::MAKE_FOLDER, make_folder("/tmp/a")),
        (op::MOVE_FILE, move_file("/tmp/a", "/tmp/b")),
        (op::MOVE_FOLDER, move_file("/tmp/a", "/tmp/b")),
        (op::MAKE_TEMPORARY, make_temporary("a", "b", "")),
        (op::MAKE_TEMPORARY_FOLDER, make_temporary("a", "b", "")),
        (op::SET_ATTRIBUTES, set_attributes("/tmp/a")),
        (
            op::START_PROGRAM,
            start_program_with("talosctl", "version", "/", &["A=b"]),
        ),
        (op::LIST_PROCESSES, list_processes(0, 0, &[1, 2])),
        (
            op::READ_ENVIRONMENT,
            read_environment(&["HOSTNAME", "TALOS_STAGE"]),
        ),
        (op::TRANSFER_FROM, transfer_from("/talos/README.txt")),
        (op::TRANSFER_TO, transfer_to("/tmp/a", true)),
        (op::ACQUIRE, vec![0; 8]),
        (op::RELEASE, Vec::new()),
        (op::VALIDATE, Vec::new()),
        (op::TERMINATE, terminate(77)),
        (op::DELETE_FILE, delete_file("/tmp/a")),
        (op::DELETE_FOLDER, delete_folder("/tmp/a")),
    ]
}

/// Options, the lengths of the strings, those of properties, a flag, the strings.
fn with_flag(strings: &[&str], properties: Option<usize>, flag: bool) -> Vec<u8> {
    let mut body = Vec::new();
    word(&mut body, 0);
    for string in strings {
        word(&mut body, string.len());
    }
    if let Some(len) = properties {
        word(&mut body, len);
    }
    body.push(u8::from(flag));
    for string in strings {
        body.extend(terminated(string));
    }
    body
}

fn word(body: &mut Vec<u8>, value: usize) {
    body.extend((value as u32).to_le_bytes());
}

fn terminated(text: &str) -> Vec<u8> {
    [text.as_bytes(), b"\0"].concat()
}

/// With its NUL; nothing for an empty one.
fn optional(text: &str) -> Vec<u8> {
    if text.is_empty() {
        Vec::new()
    } else {
        terminated(text)
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut three = [0; 3];
        three[..group.len()].copy_from_slice(group);
        let bits = u32::from_be_bytes([0, three[0], three[1], three[2]]);
        for digit in 0..4 {
            let value = bits >> (18 - 6 * digit) & 0x3f;
            text.push(if digit <= group.len() {
                char::from(DIGITS[value as usize])
            } else {
                '='
            });
        }
    }
    text
}
