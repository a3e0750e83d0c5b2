//! Which machine the guest finds itself on: what CPUID says, and what its instructions do.

use std::arch::x86_64::{__cpuid_count, CpuidResult};

/// The machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Profile {
    /// VMware, backdoor by I/O port alone.
    #[default]
    Vmware,
    /// VMware whose CPUID leaf 0x40000010 offers VMCALL (and VMMCALL too; VMCALL goes first).
    VmwareVmcall,
    /// VMware whose CPUID leaf 0x40000010 offers VMMCALL alone.
    VmwareVmmcall,
    /// CPUID says VMware, but the port faults.
    VmwareNoBackdoor,
    /// KVM: its signature, the port faults.
    Kvm,
    /// QEMU with vmport: TCG's signature, GETVERSION answers as ESXi does, MESSAGE does not exist.
    QemuVmport,
    /// As [`Profile::QemuVmport`], with the old machine types' way: unknown commands leave EAX alone.
    QemuVmportOld,
    /// No hypervisor bit, the port faults.
    BareMetal,
}

/// What carries a backdoor call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `in`/`out`, `rep ins`/`rep outs`.
    Port,
    /// `vmcall` (0F 01 C1).
    Vmcall,
    /// `vmmcall` (0F 01 D9).
    Vmmcall,
}

const FEATURES_VMMCALL: u32 = 1;
const FEATURES_VMCALL: u32 = 2;

impl Profile {
    /// Every profile with its name on the command line.
    pub const ALL: [(&'static str, Self); 8] = [
        ("vmware", Self::Vmware),
        ("vmware-vmcall", Self::VmwareVmcall),
        ("vmware-vmmcall", Self::VmwareVmmcall),
        ("vmware-no-backdoor", Self::VmwareNoBackdoor),
        ("kvm", Self::Kvm),
        ("qemu-vmport", Self::QemuVmport),
        ("qemu-vmport-old", Self::QemuVmportOld),
        ("bare-metal", Self::BareMetal),
    ];

    /// Whether a VMX is behind the backdoor.
    pub fn has_backdoor(self) -> bool {
        matches!(
            self,
            Self::Vmware | Self::VmwareVmcall | Self::VmwareVmmcall
        )
    }

    /// Whether QEMU's vmport is behind the port.
    pub fn has_vmport(self) -> bool {
        matches!(self, Self::QemuVmport | Self::QemuVmportOld)
    }

    /// Whether an instruction of this form is answered at all (else it faults).
    pub fn answers(self, form: Form) -> bool {
        match form {
            Form::Port => self.has_backdoor() || self.has_vmport(),
            Form::Vmcall => self == Self::VmwareVmcall,
            Form::Vmmcall => matches!(self, Self::VmwareVmcall | Self::VmwareVmmcall),
        }
    }

    fn signature(self) -> Option<&'static [u8; 12]> {
        match self {
            Self::Vmware | Self::VmwareVmcall | Self::VmwareVmmcall | Self::VmwareNoBackdoor => {
                Some(b"VMwareVMware")
            }
            Self::Kvm => Some(b"KVMKVMKVM\0\0\0"),
            Self::QemuVmport | Self::QemuVmportOld => Some(b"TCGTCGTCGTCG"),
            Self::BareMetal => None,
        }
    }

    /// CPUID as this machine answers it: the real one, with the hypervisor's parts replaced.
    pub fn cpuid(self, leaf: u32, subleaf: u32) -> CpuidResult {
        let Some(signature) = self.signature() else {
            // Leaves no processor has are answered like the highest basic leaf: zeros will do.
            if leaf & 0xf000_0000 == 0x4000_0000 {
                return CpuidResult {
                    eax: 0,
                    ebx: 0,
                    ecx: 0,
                    edx: 0,
                };
            }
            let mut real = __cpuid_count(leaf, subleaf);
            if leaf == 1 {
                real.ecx &= !(1 << 31);
            }
            return real;
        };
        let word = |at: usize| {
            let bytes = [
                signature[at],
                signature[at + 1],
                signature[at + 2],
                signature[at + 3],
            ];
            u32::from_le_bytes(bytes)
        };
        match leaf {
            0x4000_0000 => CpuidResult {
                eax: if matches!(self, Self::QemuVmport | Self::QemuVmportOld) {
                    0x4000_0001
                } else {
                    0x4000_0010
                },
                ebx: word(0),
                ecx: word(4),
                edx: word(8),
            },
            // TSC and bus frequency in kHz, as VMware and KVM both give them; then VMware's features.
            0x4000_0010 => CpuidResult {
                eax: 2_400_000,
                ebx: 66_000,
                ecx: match self {
                    Self::VmwareVmcall => FEATURES_VMCALL | FEATURES_VMMCALL,
                    Self::VmwareVmmcall => FEATURES_VMMCALL,
                    // QEMU and KVM leave other things here; nobody may look without the signature.
                    Self::Kvm => FEATURES_VMCALL | FEATURES_VMMCALL,
                    _ => 0,
                },
                edx: 0,
            },
            leaf if leaf & 0xf000_0000 == 0x4000_0000 => CpuidResult {
                eax: 0,
                ebx: 0,
                ecx: 0,
                edx: 0,
            },
            1 => {
                let mut real = __cpuid_count(1, subleaf);
                real.ecx |= 1 << 31;
                real
            }
            _ => __cpuid_count(leaf, subleaf),
        }
    }
}

impl std::str::FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().find(|(name, _)| *name == text);
        found.map(|(_, profile)| *profile).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|(name, _)| *name).collect();
            format!("no profile {text:?}; there are {}", names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_and_features_follow_the_profile() {
        let vmware = Profile::VmwareVmmcall.cpuid(0x4000_0000, 0);
        assert_eq!(vmware.ebx, u32::from_le_bytes(*b"VMwa"));
        assert_eq!(vmware.eax, 0x4000_0010);
        assert_eq!(Profile::VmwareVmmcall.cpuid(0x4000_0010, 0).ecx, 1);
        assert_eq!(Profile::VmwareVmcall.cpuid(0x4000_0010, 0).ecx & 2, 2);
        assert_eq!(Profile::Vmware.cpuid(0x4000_0010, 0).ecx, 0);
        assert_ne!(Profile::Vmware.cpuid(1, 0).ecx >> 31, 0);
        assert_eq!(Profile::BareMetal.cpuid(1, 0).ecx >> 31, 0);
        assert_eq!(Profile::BareMetal.cpuid(0x4000_0000, 0).ebx, 0);
    }
}
