//! Who the hypervisor says it is: CPUID on x86, the ACPI FADT on arm64.
//!
//! CPUID leaf 1 says whether there is a hypervisor, leaf 0x40000000 gives its twelve-letter vendor in EBX, ECX, EDX,
//! and VMware's leaf 0x40000010 says which hypercalls replace the ports. Other hypervisors use that leaf for other
//! things, so it counts only if the vendor is VMware. arm64 has no CPUID; there the firmware's FADT carries eight
//! letters since revision 6.
//!
//! Sources: hostinfoHV.c, x86cpuid.h, backdoor.c, acpi_table_defs.h.

use super::registers::Interface;

/// CPUID leaf with the hypervisor bit.
pub const LEAF_FEATURES: u32 = 1;
/// CPUID leaf with the hypervisor's vendor and its last leaf.
pub const LEAF_VENDOR: u32 = 0x4000_0000;
/// CPUID leaf with VMware's features (CPUID_VMW_FEATURES).
pub const LEAF_VMWARE_FEATURES: u32 = 0x4000_0010;

/// One CPUID leaf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuidLeaf {
    /// EAX
    pub eax: u32,
    /// EBX
    pub ebx: u32,
    /// ECX
    pub ecx: u32,
    /// EDX
    pub edx: u32,
}

/// Who runs the machine, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hypervisor {
    /// Nobody says anything: bare metal, or a hypervisor that hides.
    None,
    /// `VMwareVMware`
    Vmware,
    /// `KVMKVMKVM`
    Kvm,
    /// `XenVMMXenVMM`
    Xen,
    /// `Microsoft Hv`
    HyperV,
    /// `TCGTCGTCGTCG`: QEMU without KVM.
    Tcg,
    /// Another signature, padded with NUL.
    Other([u8; 12]),
}

impl Hypervisor {
    /// The owner of a CPUID signature.
    pub fn of_signature(signature: [u8; 12]) -> Self {
        match &signature {
            b"VMwareVMware" => Self::Vmware,
            b"KVMKVMKVM\0\0\0" => Self::Kvm,
            b"XenVMMXenVMM" => Self::Xen,
            b"Microsoft Hv" => Self::HyperV,
            b"TCGTCGTCGTCG" => Self::Tcg,
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => Self::None,
            _ => Self::Other(signature),
        }
    }

    /// The maker of the machine as its SMBIOS tables name it (`VMware, Inc.`); anyone else may or may not be a
    /// hypervisor, so nobody is named.
    pub fn of_system_vendor(vendor: &[u8]) -> Self {
        if vendor.starts_with(b"VMware") {
            Self::Vmware
        } else {
            Self::None
        }
    }

    /// The owner of an ACPI FADT. VMware's eight bytes start with its name.
    pub fn of_fadt(table: &[u8]) -> Self {
        let Some(vendor) = fadt_vendor(table) else {
            return Self::None;
        };
        if vendor.starts_with(b"VMware") {
            return Self::Vmware;
        }
        let mut signature = [0; 12];
        for (to, from) in signature.iter_mut().zip(vendor) {
            *to = from;
        }
        Self::of_signature(signature)
    }
}

impl std::fmt::Display for Hypervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Vmware => f.write_str("VMware"),
            Self::Kvm => f.write_str("KVM"),
            Self::Xen => f.write_str("Xen"),
            Self::HyperV => f.write_str("Hyper-V"),
            Self::Tcg => f.write_str("QEMU"),
            Self::Other(signature) => {
                let end = signature.iter().rposition(|byte| *byte != 0);
                let text = signature.get(..end.map_or(0, |end| end + 1));
                write!(f, "{}", text.unwrap_or_default().escape_ascii())
            }
        }
    }
}

/// Who the hypervisor is and which instruction it wants for the backdoor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Platform {
    /// The hypervisor's own word.
    pub hypervisor: Hypervisor,
    /// The instruction to use; meaningless unless the hypervisor is VMware, then still worth a try.
    pub interface: Interface,
}

impl Hypervisor {
    /// Whether it is VMware's.
    pub const fn is_vmware(self) -> bool {
        matches!(self, Self::Vmware)
    }
}

impl Platform {
    /// Asks CPUID in the order of backdoor.c: vmcall before vmmcall before ports.
    pub fn of_cpuid(cpuid: impl Fn(u32) -> CpuidLeaf) -> Self {
        const HYPERVISOR: u32 = 1 << 31;
        const VMMCALL: u32 = 1 << 0;
        const VMCALL: u32 = 1 << 1;

        let ports = |hypervisor| Self {
            hypervisor,
            interface: Interface::Ports,
        };
        if cpuid(LEAF_FEATURES).ecx & HYPERVISOR == 0 {
            return ports(Hypervisor::None);
        }
        let vendor = cpuid(LEAF_VENDOR);
        let hypervisor = Hypervisor::of_signature(signature(&vendor));
        if hypervisor != Hypervisor::Vmware || vendor.eax < LEAF_VMWARE_FEATURES {
            return ports(hypervisor);
        }
        let features = cpuid(LEAF_VMWARE_FEATURES).ecx;
        let interface = if features & VMCALL != 0 {
            Interface::Vmcall
        } else if features & VMMCALL != 0 {
            Interface::Vmmcall
        } else {
            Interface::Ports
        };
        Self {
            hypervisor,
            interface,
        }
    }

    /// Reads what the firmware says (arm64): its ACPI FADT and, where that names nobody, the system vendor of
    /// SMBIOS. Containers rarely see the FADT; the vendor is open to everybody.
    pub fn of_firmware(fadt: &[u8], system_vendor: &[u8]) -> Self {
        let hypervisor = match Hypervisor::of_fadt(fadt) {
            Hypervisor::None => Hypervisor::of_system_vendor(system_vendor),
            named => named,
        };
        Self {
            hypervisor,
            interface: Interface::SystemRegister,
        }
    }
}

/// The twelve letters in EBX, ECX, EDX of leaf 0x40000000.
fn signature(vendor: &CpuidLeaf) -> [u8; 12] {
    let mut signature = [0; 12];
    let bytes = [vendor.ebx, vendor.ecx, vendor.edx]
        .into_iter()
        .flat_map(u32::to_le_bytes);
    for (to, from) in signature.iter_mut().zip(bytes) {
        *to = from;
    }
    signature
}

/// The eight letters of an ACPI FADT, if it is one and new enough to have them.
fn fadt_vendor(table: &[u8]) -> Option<[u8; 8]> {
    const LENGTH_AT: usize = 4;
    const REVISION_AT: usize = 8;
    const VENDOR_AT: usize = 268;
    const MIN_REVISION: u8 = 6;

    let declared = u32::from_le_bytes(*table.get(LENGTH_AT..)?.first_chunk()?);
    let declared = usize::try_from(declared).ok()?;
    if !table.starts_with(b"FACP")
        || declared < VENDOR_AT + 8
        || *table.get(REVISION_AT)? < MIN_REVISION
    {
        return None;
    }
    table.get(VENDOR_AT..)?.first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn machine(vendor: &[u8; 12], last_leaf: u32, features: u32) -> Platform {
        Platform::of_cpuid(|leaf| match leaf {
            1 => CpuidLeaf {
                ecx: 0x8000_0000,
                ..CpuidLeaf::default()
            },
            0x4000_0000 => CpuidLeaf {
                eax: last_leaf,
                ebx: u32::from_le_bytes(vendor[..4].try_into().unwrap()),
                ecx: u32::from_le_bytes(vendor[4..8].try_into().unwrap()),
                edx: u32::from_le_bytes(vendor[8..].try_into().unwrap()),
            },
            0x4000_0010 => CpuidLeaf {
                ecx: features,
                ..CpuidLeaf::default()
            },
            _ => panic!("leaf {leaf:#x} is of no use"),
        })
    }

    #[test]
    fn vmcall_comes_before_vmmcall_before_ports() {
        let vmware = |features| machine(b"VMwareVMware", 0x4000_0010, features).interface;
        assert_eq!(vmware(0b11), Interface::Vmcall);
        assert_eq!(vmware(0b10), Interface::Vmcall);
        assert_eq!(vmware(0b01), Interface::Vmmcall);
        assert_eq!(vmware(0b00), Interface::Ports);
        // A leaf beyond the last one is not there, whatever CPUID answers.
        let old = machine(b"VMwareVMware", 0x4000_000F, 0b11);
        assert_eq!(old.interface, Interface::Ports);
        assert_eq!(old.hypervisor, Hypervisor::Vmware);
    }

    #[test]
    fn other_hypervisors_are_named_and_their_leaf_is_not_read() {
        // QEMU can show leaf 0x40000010 (frequencies) under KVM's name.
        let kvm = machine(b"KVMKVMKVM\0\0\0", 0x4000_0010, 0b11);
        assert_eq!(kvm.hypervisor, Hypervisor::Kvm);
        assert_eq!(kvm.interface, Interface::Ports);
        let name = |vendor| machine(vendor, 0x4000_0001, 0).hypervisor.to_string();
        assert_eq!(name(b"TCGTCGTCGTCG"), "QEMU");
        assert_eq!(name(b"XenVMMXenVMM"), "Xen");
        assert_eq!(name(b"Microsoft Hv"), "Hyper-V");
        assert_eq!(name(b"ACRNACRNACRN"), "ACRNACRNACRN");
        assert_eq!(name(b"x\n\0\0\0\0\0\0\0\0\0\0"), "x\\n");
    }

    #[test]
    fn without_the_hypervisor_bit_the_vendor_is_not_read() {
        let metal = Platform::of_cpuid(|leaf| match leaf {
            1 => CpuidLeaf::default(),
            _ => panic!("leaf {leaf:#x} must not be read"),
        });
        assert_eq!(metal.hypervisor, Hypervisor::None);
    }

    fn fadt(revision: u8, vendor: &[u8; 8]) -> Vec<u8> {
        let mut table = vec![0; 276];
        table[..4].copy_from_slice(b"FACP");
        table[4..8].copy_from_slice(&276u32.to_le_bytes());
        table[8] = revision;
        table[268..].copy_from_slice(vendor);
        table
    }

    #[test]
    fn fadt_names_the_hypervisor_since_revision_6() {
        let of = |revision, vendor| Hypervisor::of_fadt(&fadt(revision, vendor));
        assert_eq!(of(6, b"VMware\0\0"), Hypervisor::Vmware);
        assert_eq!(of(6, b"VMwareVM"), Hypervisor::Vmware);
        assert_eq!(of(5, b"VMware\0\0"), Hypervisor::None);
        assert_eq!(of(6, &[0; 8]), Hypervisor::None);
        assert_eq!(of(6, b"QEMU    ").to_string(), "QEMU    ");
    }

    #[test]
    fn the_system_vendor_speaks_where_the_fadt_is_hidden() {
        let of = |fadt: &[u8], vendor| Platform::of_firmware(fadt, vendor).hypervisor;
        assert_eq!(of(b"", b"VMware, Inc.\n"), Hypervisor::Vmware);
        assert_eq!(of(b"", b"QEMU\n"), Hypervisor::None);
        assert_eq!(of(b"", b""), Hypervisor::None);
        let table = fadt(6, b"QEMU    ");
        assert_ne!(of(&table, b"VMware, Inc.\n"), Hypervisor::Vmware);
    }

    #[test]
    fn a_truncated_or_foreign_table_names_nobody() {
        let whole = fadt(6, b"VMware\0\0");
        for end in 0..whole.len() {
            assert_eq!(
                Hypervisor::of_fadt(&whole[..end]),
                Hypervisor::None,
                "{end}"
            );
        }
        let mut short = whole.clone();
        short[4..8].copy_from_slice(&275u32.to_le_bytes());
        assert_eq!(Hypervisor::of_fadt(&short), Hypervisor::None);
        let mut foreign = whole;
        foreign[..4].copy_from_slice(b"APIC");
        assert_eq!(Hypervisor::of_fadt(&foreign), Hypervisor::None);
    }

    proptest! {
        #[test]
        fn any_table_and_any_signature_is_survived(
            table in proptest::collection::vec(any::<u8>(), 0..400),
            signature: [u8; 12],
        ) {
            let _ = Hypervisor::of_fadt(&table).to_string();
            let _ = Hypervisor::of_signature(signature).to_string();
        }
    }
}
