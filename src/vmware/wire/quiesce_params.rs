//! The arguments of `vmbackup.startWithOpts`: GuestQuiesceParams in XDR [guestQuiesce.x].
//!
//! ```text
//! version  present  manifest apps fs writable scripts  argument  timeout  disks      V1
//! 00000001 00000001 00000001 ...                       00000000  00000384 00000000
//! version 2: then vssBackupContext, vssBackupType and two flags, which are about Windows
//! ```
//! What follows the last field does not matter, as with open-vm-tools.

use super::xdr::XdrDecoder;

/// GUESTQUIESCE_SCRIPTARG_MAX_LEN.
const LONGEST_ARGUMENT: usize = 256;
/// GUESTQUIESCE_DISKUUID_MAX_LEN.
const LONGEST_DISKS: usize = 3200;

/// GuestQuiesceParamsV1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuiesceParams<'a> {
    /// Whether the host wants a manifest of what was done.
    pub create_manifest: bool,
    /// Whether applications may be quiesced.
    pub quiesce_apps: bool,
    /// Whether file systems may be quiesced.
    pub quiesce_fs: bool,
    /// Whether the snapshot can be written to.
    pub writable_snapshot: bool,
    /// Whether scripts of the guest may run.
    pub exec_scripts: bool,
    /// The argument of the scripts.
    pub script_arg: &'a [u8],
    /// Seconds for the whole operation; 0 for the default.
    pub timeout_seconds: u32,
    /// The disks of the snapshot, separated by spaces.
    pub disk_uuids: &'a [u8],
}

/// Why the arguments are of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuiesceParamsError {
    /// A version other than 1, which is the only one for Linux.
    #[error("version {0} of the quiesce parameters")]
    Version(u32),
    /// Cut, too long for a bound, or a flag that is none.
    #[error("malformed quiesce parameters")]
    Malformed,
}

impl<'a> QuiesceParams<'a> {
    /// Reads them.
    ///
    /// # Errors
    /// They are of another version, or malformed.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, QuiesceParamsError> {
        let mut xdr = XdrDecoder::new(bytes);
        match xdr.u32() {
            Some(1) => Self::version_1(&mut xdr).ok_or(QuiesceParamsError::Malformed),
            Some(version) => Err(QuiesceParamsError::Version(version)),
            None => Err(QuiesceParamsError::Malformed),
        }
    }

    fn version_1(xdr: &mut XdrDecoder<'a>) -> Option<Self> {
        let is_present = xdr.bool()?;
        if !is_present {
            return None;
        }
        Some(Self {
            create_manifest: xdr.bool()?,
            quiesce_apps: xdr.bool()?,
            quiesce_fs: xdr.bool()?,
            writable_snapshot: xdr.bool()?,
            exec_scripts: xdr.bool()?,
            script_arg: xdr.opaque(LONGEST_ARGUMENT)?,
            timeout_seconds: xdr.u32()?,
            disk_uuids: xdr.opaque(LONGEST_DISKS)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vmware::wire::xdr::XdrEncoder;

    /// Encoded by rpcgen's code out of guestQuiesce.x; vmtoolsd 12.2.0 takes it.
    const VERSION_1: [u8; 40] = [
        0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
        0, 0, 0, 0, 3, 0x84, 0, 0, 0, 0,
    ];

    #[test]
    fn version_1_is_read() {
        let expected = QuiesceParams {
            create_manifest: true,
            quiesce_apps: true,
            quiesce_fs: true,
            writable_snapshot: false,
            exec_scripts: true,
            script_arg: b"",
            timeout_seconds: 900,
            disk_uuids: b"",
        };
        assert_eq!(QuiesceParams::decode(&VERSION_1), Ok(expected.clone()));
        let longer = [&VERSION_1[..], b"\0"].concat();
        assert_eq!(QuiesceParams::decode(&longer), Ok(expected));
    }

    #[test]
    fn what_is_cut_is_malformed_at_every_offset() {
        for end in 0..VERSION_1.len() {
            let cut = QuiesceParams::decode(&VERSION_1[..end]);
            assert_eq!(cut, Err(QuiesceParamsError::Malformed), "{end}");
        }
    }

    #[test]
    fn other_versions_are_recognised() {
        for version in [0, 2, 3, u32::MAX] {
            let mut bytes = VERSION_1;
            bytes[..4].copy_from_slice(&version.to_be_bytes());
            let expected = Err(QuiesceParamsError::Version(version));
            assert_eq!(QuiesceParams::decode(&bytes), expected);
        }
    }

    #[test]
    fn strings_have_bounds_and_flags_two_values() {
        let encoded = |present: u32, argument: usize, disks: usize| {
            let mut xdr = XdrEncoder::new();
            for word in [1, present, 0, 0, 0, 0, 0] {
                xdr.u32(word);
            }
            xdr.opaque(&vec![b'a'; argument], usize::MAX);
            xdr.u32(0);
            xdr.opaque(&vec![b'd'; disks], usize::MAX);
            xdr.into_bytes()
        };
        let is_read = |bytes: Vec<u8>| QuiesceParams::decode(&bytes).is_ok();
        assert!(is_read(encoded(1, 256, 3200)));
        assert!(!is_read(encoded(1, 257, 0)));
        assert!(!is_read(encoded(1, 0, 3201)));
        assert!(!is_read(encoded(0, 0, 0)), "absent");
        assert!(!is_read(encoded(2, 0, 0)), "no flag");
        let mut huge = VERSION_1;
        huge[28..32].copy_from_slice(&[0xff; 4]);
        assert!(!is_read(huge.to_vec()));
    }
}
