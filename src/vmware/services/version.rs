//! Which agent this is, as guest variables that third parties read:
//! `guestinfo.vmtools.{description,versionString,versionNumber,buildNumber}` [mainLoop.c].

use crate::vmware::wire::text::info_set;

use super::topic::Topic;
use super::{Context, Service};

/// Our version: three numbers.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The variables.
pub(super) const TOPICS: [Topic; 4] = [
    Topic::Version(0),
    Topic::Version(1),
    Topic::Version(2),
    Topic::Version(3),
];

/// The four variables, sent once a connection: the host keeps them over a reset.
#[derive(Debug)]
pub(super) struct Version;

/// Key and value of each variable, in open-vm-tools' order. There are no builds to number.
fn values() -> [(&'static str, String); 4] {
    [
        ("vmtools.description", format!("talos-vmtoolsd {VERSION}")),
        ("vmtools.versionString", VERSION.to_owned()),
        ("vmtools.versionNumber", number(VERSION).to_string()),
        ("vmtools.buildNumber", "0".to_owned()),
    ]
}

/// Three numbers of five bits each, packed as in TOOLS_VERSION_TO_UINT [vm_tools_version.h].
fn number(version: &str) -> u32 {
    version
        .split('.')
        .take(3)
        .map(|part| part.parse().unwrap_or(0_u32).min(31))
        .fold(0, |packed, part| packed << 5 | part)
}

impl Service for Version {
    fn connected(&mut self, cx: &mut Context<'_>) {
        if cx.variables {
            self.variables_wanted(cx);
        }
    }

    fn variables_wanted(&mut self, cx: &mut Context<'_>) {
        for (topic, (key, value)) in TOPICS.into_iter().zip(values()) {
            cx.publications.renew(topic, info_set(key, &value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_is_packed_as_open_vm_tools_does() {
        for (version, packed) in [
            ("13.1.0", 13344),
            ("12.5.0", 12448),
            ("11.3.5", 11365),
            ("10.0.5", 10245),
        ] {
            assert_eq!(number(version), packed);
        }
    }

    #[test]
    fn the_version_is_three_numbers() {
        let parts: Vec<u32> = VERSION
            .split('.')
            .map(|part| part.parse().unwrap())
            .collect();
        assert_eq!(parts.len(), 3);
    }
}
