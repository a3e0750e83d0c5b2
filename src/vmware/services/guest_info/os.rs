//! What the OS is called [hostinfoPosix.c].
//!
//! The id is open-vm-tools' for a distribution without an id of its own: by the kernel's first number, the same
//! on both architectures. A kernel newer than all ids gets the last one, which VMware calls "7.x and later".

use crate::facts::Machine;
use crate::facts::TalosVersion;
use crate::vmware::wire::guest_info::DetailedOs;
use crate::vmware::wire::text::line;

/// VMware's id of the OS, such as `other6xlinux-64`.
pub(in crate::vmware::services) fn short_name(machine: &Machine) -> String {
    let mut numbers = machine
        .kernel_release
        .split(|character: char| !character.is_ascii_digit())
        .map(|number| number.parse().unwrap_or(0_u32));
    let id = match (numbers.next(), numbers.next()) {
        (Some(2), Some(6..)) => "other26xlinux",
        (Some(2), Some(4 | 5)) => "other24xlinux",
        (Some(3), _) => "other3xlinux",
        (Some(4), _) => "other4xlinux",
        (Some(5), _) => "other5xlinux",
        (Some(6), _) => "other6xlinux",
        (Some(7..), _) => "other7xlinux",
        _ => "otherlinux",
    };
    if is_64_bit(machine) {
        format!("{id}-64")
    } else {
        id.to_owned()
    }
}

/// Longest full name in bytes: vCenter stumbles over longer ones (VMware's KB 95714).
const MAX_FULL_NAME: usize = 127;

/// The OS in words: system, kernel, distribution. Without a Talos version, what uname says.
pub(in crate::vmware::services) fn full_name(
    machine: &Machine,
    talos: Option<&TalosVersion>,
) -> String {
    let kernel = &machine.kernel_release;
    let name = match talos.and_then(pretty_name) {
        Some(pretty) => format!("Linux {kernel} {pretty}"),
        None => format!("Linux {kernel}"),
    };
    line(&name, MAX_FULL_NAME)
}

/// Everything known of the OS; `None` while the Talos version is not.
pub(super) fn detailed(machine: &Machine, talos: &TalosVersion) -> Option<DetailedOs> {
    let pretty_name = pretty_name(talos)?;
    let architecture = if machine.machine.starts_with("arm") || machine.machine == "aarch64" {
        "Arm"
    } else {
        "X86"
    };
    Some(DetailedOs {
        short_name: short_name(machine),
        full_name: full_name(machine, Some(talos)),
        architecture: architecture.to_owned(),
        bitness: if is_64_bit(machine) { "64" } else { "32" }.to_owned(),
        distro_name: "Talos".to_owned(),
        distro_version: line(&talos.tag, MAX_FULL_NAME),
        family_name: "Linux".to_owned(),
        kernel_version: line(&machine.kernel_release, MAX_FULL_NAME),
        pretty_name,
        ..DetailedOs::default()
    })
}

/// PRETTY_NAME of Talos' os-release.
fn pretty_name(talos: &TalosVersion) -> Option<String> {
    let tag = line(&talos.tag, MAX_FULL_NAME);
    (!tag.is_empty()).then(|| format!("Talos ({tag})"))
}

/// Word size of the machine, from its name.
pub(in crate::vmware::services) fn is_64_bit(machine: &Machine) -> bool {
    machine.machine.contains("64")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(kernel_release: &str, machine: &str) -> Machine {
        Machine {
            kernel_release: kernel_release.into(),
            kernel_version: String::new(),
            machine: machine.into(),
        }
    }

    #[test]
    fn the_id_follows_the_kernel() {
        for (release, id) in [
            ("6.18.1-talos", "other6xlinux-64"),
            ("5.15.0", "other5xlinux-64"),
            ("4.4", "other4xlinux-64"),
            ("7.1.0-talos", "other7xlinux-64"),
            ("12.0.0", "other7xlinux-64"),
            ("2.6.32", "other26xlinux-64"),
            ("", "otherlinux-64"),
            ("talos", "otherlinux-64"),
        ] {
            assert_eq!(short_name(&machine(release, "x86_64")), id, "{release}");
        }
        assert_eq!(short_name(&machine("6.1.0", "aarch64")), "other6xlinux-64");
        assert_eq!(short_name(&machine("6.1.0", "i686")), "other6xlinux");
    }

    #[test]
    fn the_details_are_those_of_os_release_and_uname() {
        let talos = TalosVersion {
            tag: "v1.13.0".into(),
            ..TalosVersion::default()
        };
        let details = detailed(&machine("6.18.1-talos", "aarch64"), &talos).unwrap();
        assert_eq!(details.full_name, "Linux 6.18.1-talos Talos (v1.13.0)");
        assert_eq!(
            details.text(),
            "architecture='Arm' bitness='64' distroName='Talos' distroVersion='v1.13.0' familyName='Linux' \
             kernelVersion='6.18.1-talos' prettyName='Talos (v1.13.0)'"
        );
    }

    #[test]
    fn a_name_in_words_is_printable_and_has_127_bytes_at_most() {
        let talos = TalosVersion {
            tag: format!("v1.13.0-\u{7}dirty\n{}", "x".repeat(200)),
            ..TalosVersion::default()
        };
        let details = detailed(&machine("6.18.1-talos", "x86_64"), &talos).unwrap();
        assert_eq!(details.full_name.len(), 127);
        assert!(
            details
                .full_name
                .starts_with("Linux 6.18.1-talos Talos (v1.13.0-dirtyxxx")
        );
        assert!(!details.text().contains(char::is_control));
    }

    #[test]
    fn without_a_version_nothing_is_made_up() {
        let machine = machine("6.18.1-talos", "x86_64");
        assert_eq!(detailed(&machine, &TalosVersion::default()), None);
        assert_eq!(full_name(&machine, None), "Linux 6.18.1-talos");
    }
}
