//! `make hot-functions`: the functions that run from a start to an idle agent, by the names that the linker knows.
//!
//! Everything that the bench measures is started: each transport, each way to Talos, each service that asks again and
//! again, and QEMU's port. A function is listed where it was called first.

use std::collections::{BTreeMap, HashSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::candidate::{Candidate, qemu};
use crate::measure::{PATIENCE, pass};

/// How long each runs once it is green: a round of what it does again and again.
const ROUND: Duration = Duration::from_secs(20);
/// What QEMU's hosts ask.
const ASKED: [&str; 6] = [
    "guest-ping",
    "guest-info",
    "guest-get-osinfo",
    "guest-get-host-name",
    "guest-network-get-interfaces",
    "guest-get-fsinfo",
];

/// The list, a line for each.
pub(crate) fn list(binary: &Path) -> Result<String, Box<dyn Error>> {
    let names = names(binary)?;
    let addresses: Vec<_> = names.keys().copied().collect();
    let mut called = Vec::new();
    let mut candidates = Candidate::ours(binary);
    candidates.extend(Candidate::with_vmotion(binary));
    candidates.push(Candidate::with_ha(binary));
    for candidate in candidates {
        let running = candidate.start(|vmx| vmx.see_functions(&addresses))?;
        running.vmx.wait_green(PATIENCE)?;
        pass(&running, ROUND)?;
        called.extend(running.vmx.called());
    }
    let (running, port) = qemu(binary, |vmx| vmx.see_functions(&addresses))?;
    port.wait_open(PATIENCE)?;
    for command in ASKED {
        let client = port.connect_sending(format!("{{\"execute\": \"{command}\"}}\n"));
        client.line(PATIENCE)?;
    }
    called.extend(running.vmx.called());

    let mut listed = HashSet::new();
    let mut list = String::new();
    for name in called
        .iter()
        .filter_map(|address| names.get(address))
        .flatten()
    {
        let pattern = pattern(name);
        if listed.insert(pattern.clone()) {
            writeln!(list, "{pattern}")?;
        }
    }
    Ok(list)
}

/// The names of the functions by their addresses, as `nm` has them.
fn names(binary: &Path) -> Result<BTreeMap<u64, Vec<String>>, Box<dyn Error>> {
    let symbols = Command::new("nm")
        .arg("--defined-only")
        .arg(binary)
        .output()?;
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in String::from_utf8(symbols.stdout)?.lines() {
        let [address, "t" | "T" | "w" | "W" | "i", name] = line.split(' ').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let address = u64::from_str_radix(address, 16)?;
        names.entry(address).or_default().push(name.to_owned());
    }
    if names.is_empty() {
        return Err(format!("{} has no names: it is stripped", binary.display()).into());
    }
    Ok(names)
}

/// A name without what another version of compiler or crate changes in it: the hash at the end, or in the new form of
/// mangling (RFC 2603) those of the crates, and the number of a part that was split off.
fn pattern(name: &str) -> String {
    const HASH: &str = "17h";
    if name.starts_with("_ZN") {
        let hash = name.rfind(HASH).map_or(name.len(), |at| at + HASH.len());
        return format!("{}*", &name[..hash]);
    }
    if !name.starts_with("_R") {
        return name.to_owned();
    }
    let (name, number) = match name.rsplit_once('.') {
        Some((name, number)) if number.chars().all(|digit| digit.is_ascii_digit()) => (name, ".*"),
        _ => (name, ""),
    };
    // Cs, up to twelve characters of base 62, _
    let mut parts = name.split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        pattern.push_str("Cs");
        match part.split_once('_') {
            Some((hash, rest)) if hash.len() <= 12 && hash.chars().all(char::is_alphanumeric) => {
                pattern.push_str("*_");
                pattern.push_str(rest);
            }
            _ => pattern.push_str(part),
        }
    }
    pattern + number
}
