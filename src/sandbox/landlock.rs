//! The filter of files, ports and peers: landlock.
//!
//! | from ABI | what is left |
//! |---|---|
//! | 1 | reading below the places of [`Needs::readable`]; nothing is made, removed or executed, and written to the host's port alone |
//! | 3, 5 | nothing is truncated; no ioctl on devices |
//! | 4 | TCP to the ports of [`Needs::tcp`], and no listening |
//! | 6 | no signals to other processes, no abstract unix sockets of theirs |
//!
//! machined's socket is a file, and connecting to one is left alone: from ABI 9 on it could be forbidden.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, LandlockStatus,
    NetPort, PathBeneath, PathFd, Ruleset, RulesetAttr as _, RulesetCreated,
    RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};

use super::needs::Needs;

/// The newest version whose rights were looked at here.
const KNOWN: ABI = ABI::V8;
/// The first version that knows of TCP.
const WITH_TCP: ABI = ABI::V4;
const MISSING: &str = "not in this kernel, or another sandbox refuses it";

/// Restricts this thread and those it starts, for good, as far as the kernel can; what is left, as one phrase.
///
/// # Errors
/// The kernel has no landlock, or another sandbox refuses it; in one phrase.
pub(super) fn restrict(needs: &Needs) -> Result<String, String> {
    let status = rules(needs)
        .and_then(RulesetCreated::restrict_self)
        .map_err(|error| error.to_string())?;
    match (status.ruleset, status.landlock) {
        (_, LandlockStatus::NotEnabled) => Err("not enabled in this kernel".to_owned()),
        (RulesetStatus::NotEnforced, _) | (_, LandlockStatus::NotImplemented) => {
            Err(MISSING.to_owned())
        }
        (_, LandlockStatus::Available { effective_abi, .. }) => {
            let left = left(needs, effective_abi >= WITH_TCP);
            Ok(format!("ABI {effective_abi}, {left}"))
        }
    }
}

/// What [`restrict`] would leave.
///
/// # Errors
/// As there.
pub(super) fn preview(needs: &Needs) -> Result<String, String> {
    let has = |abi| {
        let strict = Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
        let files = strict.handle_access(AccessFs::from_all(ABI::V1));
        files.is_ok_and(|ruleset| {
            abi < WITH_TCP || ruleset.handle_access(AccessNet::from_all(abi)).is_ok()
        })
    };
    if !has(ABI::V1) {
        return Err(MISSING.to_owned());
    }
    Ok(left(needs, has(WITH_TCP)))
}

fn left(needs: &Needs, restricts_tcp: bool) -> String {
    let places: Vec<String> = needs
        .readable()
        .iter()
        .map(|place| place.display().to_string())
        .collect();
    let tcp = match needs.tcp() {
        None => "TCP to all ports".to_owned(),
        Some(ports) if ports.is_empty() => "no TCP".to_owned(),
        Some(ports) => {
            let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
            format!("TCP to {}", ports.join(" "))
        }
    };
    let mut left = format!("reads {}", places.join(" "));
    if let Some(port) = &needs.port {
        left.push_str(&format!(", uses {}", port.display()));
    }
    if restricts_tcp {
        left.push_str(&format!(", {tcp}"));
    }
    left
}

fn rules(needs: &Needs) -> Result<RulesetCreated, RulesetError> {
    let ports = needs.tcp();
    // Best effort is what the crate does unless asked otherwise.
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(match ports {
            None => AccessNet::BindTcp.into(),
            Some(_) => AccessNet::from_all(KNOWN),
        })?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    for place in needs.readable() {
        // What is not there, such as /sys in some containers, need not be allowed.
        let Ok(opened) = PathFd::new(&place) else {
            continue;
        };
        let reading: BitFlags<AccessFs> = if place.is_dir() {
            AccessFs::ReadFile | AccessFs::ReadDir
        } else {
            AccessFs::ReadFile.into()
        };
        ruleset = ruleset.add_rule(PathBeneath::new(opened, reading))?;
    }
    if let Some(Ok(port)) = needs.port.as_ref().map(PathFd::new) {
        let use_it = AccessFs::ReadFile | AccessFs::WriteFile;
        ruleset = ruleset.add_rule(PathBeneath::new(port, use_it))?;
    }
    for port in ports.into_iter().flatten() {
        ruleset = ruleset.add_rule(NetPort::new(port, AccessNet::ConnectTcp))?;
    }
    Ok(ruleset)
}
