//! Whether this is VMware, and which instruction reaches it. Nothing here can fault.
//!
//! First we ask the hypervisor who it is (CPUID, on arm64 the ACPI FADT); if it does not say VMware we leave it
//! alone, unless the operator insists. Then come two tests: GETVERSION, and an RPCI channel that is opened and
//! closed. The second decides: QEMU's vmport answers the first exactly like an ESXi, but knows no messages and
//! answers all ones or nothing.
//!
//! ```text
//! vendor VMware → vmcall/vmmcall if offered, ports if that fails → Vmware | Unresponsive
//! other vendor  → untouched → NotVmware;   skip detection: → ports → Vmware | NotVmware
//! ```
//!
//! Sources: vmcheck.c, hostinfoHV.c, vm_vmx_type.h.

use super::{AccessFault, Backdoor, FaultGuard, RegisterAccess, instruction};
use crate::diagnosis::Outcome;
use crate::log::Chain;
use crate::vmware::wire::hypervisor::{Hypervisor, Platform};
use crate::vmware::wire::message::{ChannelAddress, MessageType, Protocol, Status, open};
use crate::vmware::wire::registers::{
    ALL_ONES, Interface, MAGIC, Registers, TYPE_UNSET, VERSION_MAGIC, high_half,
};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detection<A> {
    /// A VMX answers.
    Vmware {
        /// The way to it.
        access: A,
        /// Which instruction that way uses.
        interface: Interface,
        /// Which product it says it is.
        vmx_type: VmxType,
    },
    /// Another hypervisor, or none.
    NotVmware {
        /// Which.
        hypervisor: Hypervisor,
    },
    /// The hypervisor says VMware but its backdoor does not work, or not yet. Worth asking again later.
    Unresponsive {
        /// The way that came closest to an answer.
        access: A,
        /// Which instruction that way uses.
        interface: Interface,
        /// What is wrong.
        error: ProbeError,
    },
}

impl<A> Detection<A> {
    /// What `check` says of it; `skip` is whether the detection was to be skipped.
    pub fn check(&self, skip: bool) -> Outcome {
        match self {
            Self::Vmware {
                interface,
                vmx_type,
                ..
            } => Outcome::Works(format!(
                "{vmx_type}, backdoor through {}",
                instruction(*interface)
            )),
            Self::NotVmware { hypervisor } => Outcome::Fails {
                problem: format!("this machine does not run on VMware (hypervisor: {hypervisor})"),
                remedy: if skip {
                    "none: the backdoor was tried all the same, and nobody answered"
                } else {
                    "none is needed, the agent stays down here; if this is VMware after all, \
                     give --skip-vmware-detection"
                }
                .to_owned(),
            },
            Self::Unresponsive {
                interface, error, ..
            } => Outcome::Fails {
                problem: format!(
                    "the processor says VMware, but: {} ({})",
                    Chain(error),
                    instruction(*interface)
                ),
                remedy: match error {
                    ProbeError::NoChannel { .. } => "see vmware.log for GuestMsg or guest RPC",
                    ProbeError::Fault(_) | ProbeError::NoAnswer | ProbeError::Version { .. } => {
                        "remove monitor_control.restrict_backdoor from the VM's configuration"
                    }
                }
                .to_owned(),
            },
        }
    }
}

fn instruction(interface: Interface) -> &'static str {
    match interface {
        Interface::Ports => "I/O ports",
        Interface::Vmcall => "vmcall",
        Interface::Vmmcall => "vmmcall",
        Interface::SystemRegister => "the trapped system register",
    }
}

/// The product, from GETVERSION (vm_vmx_type.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VmxType {
    /// An old product that does not say.
    Unset,
    /// 1
    Express,
    /// 2: ESX and ESXi.
    ScalableServer,
    /// 3: GSX, VMware Server.
    Server,
    /// 4: Workstation, Player, Fusion.
    Workstation,
    /// 5: ACE.
    Ace,
    /// A number without a name.
    Other(u32),
}

impl VmxType {
    const fn of(reply: &Registers) -> Self {
        if high_half(reply.cx) == TYPE_UNSET {
            return Self::Unset;
        }
        match reply.cx {
            1 => Self::Express,
            2 => Self::ScalableServer,
            3 => Self::Server,
            4 => Self::Workstation,
            5 => Self::Ace,
            other => Self::Other(other),
        }
    }
}

impl std::fmt::Display for VmxType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unset => f.write_str("VMware"),
            Self::Express => f.write_str("VMware Express"),
            Self::ScalableServer => f.write_str("VMware ESXi"),
            Self::Server => f.write_str("VMware Server"),
            Self::Workstation => f.write_str("VMware Workstation or Fusion"),
            Self::Ace => f.write_str("VMware ACE"),
            Self::Other(number) => write!(f, "VMware product {number}"),
        }
    }
}

/// Why a way to the VMX does not count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The instruction is not trapped.
    #[error(transparent)]
    Fault(#[from] AccessFault),
    /// It is trapped, or ignored, by somebody who does not know GETVERSION.
    #[error("nobody answers at the backdoor")]
    NoAnswer,
    /// A VMX with another version of the backdoor.
    #[error("the backdoor has version {version}, expected 6")]
    Version {
        /// EAX of the reply.
        version: u32,
    },
    /// GETVERSION is answered, but no channel can be opened: QEMU's vmport, or a VMX that is not ready.
    #[error("the backdoor answers, but refuses a message channel with status {status:#06x}")]
    NoChannel {
        /// The status word of the last OPEN.
        status: u16,
    },
}

/// The hypervisor, by its own word; it is asked nothing.
pub fn hypervisor() -> Hypervisor {
    instruction::platform().hypervisor
}

/// Finds the VMX of this machine. With `skip` we look for one even if the hypervisor does not say VMware.
pub fn detect(skip: bool, guard: FaultGuard) -> Detection<Backdoor> {
    detect_on(instruction::platform(), skip, |interface| {
        Backdoor::new(interface, guard)
    })
}

/// [`detect`] on any platform, with any kind of access.
pub fn detect_on<A: RegisterAccess>(
    platform: Platform,
    skip: bool,
    access: impl Fn(Interface) -> A,
) -> Detection<A> {
    let Platform {
        hypervisor,
        interface,
    } = platform;
    if hypervisor != Hypervisor::Vmware && !skip {
        return Detection::NotVmware { hypervisor };
    }
    let (first, error) = match probe_with(interface, &access) {
        Ok(found) => return found,
        Err(failed) => failed,
    };
    let mut closest = (first, interface, error);
    if matches!(interface, Interface::Vmcall | Interface::Vmmcall) {
        match probe_with(Interface::Ports, &access) {
            Ok(found) => return found,
            Err((ports, error)) => {
                let nearer = matches!(error, ProbeError::NoChannel { .. })
                    && !matches!(closest.2, ProbeError::NoChannel { .. });
                if nearer {
                    closest = (ports, Interface::Ports, error);
                }
            }
        }
    }
    if hypervisor != Hypervisor::Vmware {
        return Detection::NotVmware { hypervisor };
    }
    let (access, interface, error) = closest;
    Detection::Unresponsive {
        access,
        interface,
        error,
    }
}

fn probe_with<A: RegisterAccess>(
    interface: Interface,
    access: impl Fn(Interface) -> A,
) -> Result<Detection<A>, (A, ProbeError)> {
    let mut access = access(interface);
    match probe(&mut access) {
        Ok(vmx_type) => Ok(Detection::Vmware {
            access,
            interface,
            vmx_type,
        }),
        Err(error) => Err((access, error)),
    }
}

/// Runs both tests.
fn probe(access: &mut impl RegisterAccess) -> Result<VmxType, ProbeError> {
    let vmx_type = version(access)?;
    channel(access)?;
    Ok(vmx_type)
}

/// GETVERSION, judged as in vmcheck.c.
fn version(access: &mut impl RegisterAccess) -> Result<VmxType, ProbeError> {
    let mut reply = Registers::getversion();
    access.low(&mut reply)?;
    if reply.ax == ALL_ONES || reply.bx != MAGIC {
        return Err(ProbeError::NoAnswer);
    }
    if reply.ax != VERSION_MAGIC {
        return Err(ProbeError::Version { version: reply.ax });
    }
    Ok(VmxType::of(&reply))
}

/// Opens and closes a channel, with a cookie or without.
fn channel(access: &mut impl RegisterAccess) -> Result<(), ProbeError> {
    let mut status = Status(0);
    for with_cookie in [true, false] {
        let asked = open(Protocol::Rpci, with_cookie);
        let mut reply = asked;
        access.low(&mut reply)?;
        status = Status::of(&reply);
        let believed = status.has(Status::SUCCESS)
            && !status.is_contradictory()
            && !reply.is_unanswered(&asked);
        if !believed {
            continue;
        }
        if let Some(address) = ChannelAddress::of(&reply, with_cookie) {
            // Not closing costs the host one of its channels, and us nothing.
            let _ = access.low(&mut address.request(MessageType::Close, 0));
            return Ok(());
        }
    }
    Err(ProbeError::NoChannel { status: status.0 })
}

#[cfg(test)]
mod tests {
    use super::super::fake::{FakeHost, Fault};
    use super::*;
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    const PORTS: Platform = Platform {
        hypervisor: Hypervisor::Vmware,
        interface: Interface::Ports,
    };
    const VMCALL: Platform = Platform {
        hypervisor: Hypervisor::Vmware,
        interface: Interface::Vmcall,
    };
    const KVM: Platform = Platform {
        hypervisor: Hypervisor::Kvm,
        interface: Interface::Ports,
    };

    /// A machine given by what it does to registers.
    struct Machine<F>(F);

    impl<F: FnMut(&mut Registers) -> Result<(), AccessFault>> RegisterAccess for Machine<F> {
        fn low(&mut self, registers: &mut Registers) -> Result<(), AccessFault> {
            (self.0)(registers)
        }
        fn high_out(&mut self, _: &mut Registers, _: &[u8]) -> Result<(), AccessFault> {
            panic!("detection needs no blocks")
        }
        fn high_in(&mut self, _: &mut Registers, _: &mut [u8]) -> Result<(), AccessFault> {
            panic!("detection needs no blocks")
        }
    }

    /// What was found, without the way to it.
    fn on(
        platform: Platform,
        skip: bool,
        machine: impl FnMut(&mut Registers) -> Result<(), AccessFault>,
    ) -> Detection<()> {
        let machine = Rc::new(RefCell::new(machine));
        let access = |_| {
            let machine = Rc::clone(&machine);
            Machine(move |registers: &mut Registers| (machine.borrow_mut())(registers))
        };
        without_access(detect_on(platform, skip, access))
    }

    fn without_access<A>(detection: Detection<A>) -> Detection<()> {
        match detection {
            Detection::Vmware {
                interface,
                vmx_type,
                ..
            } => Detection::Vmware {
                access: (),
                interface,
                vmx_type,
            },
            Detection::NotVmware { hypervisor } => Detection::NotVmware { hypervisor },
            Detection::Unresponsive {
                interface, error, ..
            } => Detection::Unresponsive {
                access: (),
                interface,
                error,
            },
        }
    }

    fn esxi(interface: Interface) -> Detection<()> {
        Detection::Vmware {
            access: (),
            interface,
            vmx_type: VmxType::ScalableServer,
        }
    }

    fn unresponsive(interface: Interface, error: ProbeError) -> Detection<()> {
        Detection::Unresponsive {
            access: (),
            interface,
            error,
        }
    }

    /// QEMU's vmport as observed: GETVERSION like an ESXi, everything else all ones (or untouched).
    fn vmport(ones: bool) -> impl Fn(&mut Registers) -> Result<(), AccessFault> {
        move |registers| {
            if registers.cx & 0xFFFF == 10 {
                registers.ax = 6;
                registers.bx = MAGIC;
                registers.cx = 2;
            } else if ones {
                registers.ax = ALL_ONES;
            }
            Ok(())
        }
    }

    #[test]
    fn an_esxi_is_found_and_left_clean() {
        for host in [FakeHost::new(), FakeHost::new().without_cookies()] {
            let found = detect_on(PORTS, false, |_| host.clone());
            assert_eq!(without_access(found), esxi(Interface::Ports));
            assert_eq!(host.open_channels(), 0);
        }
    }

    #[test]
    fn another_hypervisor_is_not_touched() {
        let untouched = |_: &mut Registers| -> Result<(), AccessFault> { panic!("touched") };
        assert_eq!(
            on(KVM, false, untouched),
            Detection::NotVmware {
                hypervisor: Hypervisor::Kvm
            }
        );
    }

    #[test]
    fn skipping_detection_looks_for_a_vmx_all_the_same() {
        let host = FakeHost::new();
        let found = detect_on(KVM, true, |_| host.clone());
        assert_eq!(without_access(found), esxi(Interface::Ports));
    }

    #[test]
    fn skipping_detection_off_vmware_is_not_vmware() {
        let not_vmware = Detection::NotVmware {
            hypervisor: Hypervisor::Kvm,
        };
        assert_eq!(on(KVM, true, |_| Err(AccessFault)), not_vmware);
        // A hypercall that KVM refuses: EPERM in EAX.
        let refusing = |registers: &mut Registers| {
            registers.ax = ALL_ONES;
            Ok(())
        };
        assert_eq!(on(KVM, true, refusing), not_vmware);
        assert_eq!(on(KVM, true, |_| Ok(())), not_vmware);
        assert_eq!(on(KVM, true, vmport(true)), not_vmware);
        assert_eq!(on(KVM, true, vmport(false)), not_vmware);
        let ones = |registers: &mut Registers| {
            *registers = Registers {
                ax: ALL_ONES,
                bx: ALL_ONES,
                cx: ALL_ONES,
                dx: ALL_ONES,
                si: ALL_ONES,
                di: ALL_ONES,
                bp: ALL_ONES,
            };
            Ok(())
        };
        assert_eq!(on(KVM, true, ones), not_vmware);
    }

    #[test]
    fn vmware_without_a_backdoor_is_unresponsive() {
        assert_eq!(
            on(PORTS, false, |_| Err(AccessFault)),
            unresponsive(Interface::Ports, ProbeError::Fault(AccessFault))
        );
        assert_eq!(
            on(PORTS, false, |_| Ok(())),
            unresponsive(Interface::Ports, ProbeError::NoAnswer)
        );
        assert_eq!(
            on(PORTS, false, vmport(true)),
            unresponsive(Interface::Ports, ProbeError::NoChannel { status: 0 })
        );
        let newer = |registers: &mut Registers| {
            registers.ax = 7;
            registers.bx = MAGIC;
            Ok(())
        };
        assert_eq!(
            on(PORTS, false, newer),
            unresponsive(Interface::Ports, ProbeError::Version { version: 7 })
        );
    }

    #[test]
    fn a_hypercall_that_works_is_used() {
        let host = FakeHost::new();
        let found = detect_on(VMCALL, false, |_| host.clone());
        assert_eq!(without_access(found), esxi(Interface::Vmcall));
    }

    #[test]
    fn ports_are_tried_once_where_the_hypercall_fails() {
        let host = FakeHost::new();
        let tries = Cell::new(0);
        let found = detect_on(VMCALL, false, |interface| {
            let mut host = host.clone();
            let vmcall = interface == Interface::Vmcall;
            tries.set(tries.get() + 1);
            Machine(move |registers: &mut Registers| {
                if vmcall {
                    Err(AccessFault)
                } else {
                    host.low(registers)
                }
            })
        });
        assert_eq!(without_access(found), esxi(Interface::Ports));
        assert_eq!(tries.get(), 2);
    }

    #[test]
    fn the_way_that_came_closest_is_kept() {
        let found = detect_on(VMCALL, false, |interface| {
            let answers = vmport(true);
            Machine(move |registers: &mut Registers| match interface {
                Interface::Ports => answers(registers),
                _ => Err(AccessFault),
            })
        });
        assert_eq!(
            without_access(found),
            unresponsive(Interface::Ports, ProbeError::NoChannel { status: 0 })
        );
        assert_eq!(
            on(VMCALL, false, |_| Err(AccessFault)),
            unresponsive(Interface::Vmcall, ProbeError::Fault(AccessFault))
        );
    }

    #[test]
    fn a_fault_between_the_questions_is_a_fault() {
        let host = FakeHost::new();
        host.fault_after(1, Fault::Trap);
        let found = detect_on(PORTS, false, |_| host.clone());
        assert_eq!(
            without_access(found),
            unresponsive(Interface::Ports, ProbeError::Fault(AccessFault))
        );
    }

    /// vmcheck.c, vm_vmx_type.h.
    #[test]
    fn the_product_is_read_from_cx() {
        let of = |cx| {
            VmxType::of(&Registers {
                cx,
                ..Registers::default()
            })
        };
        assert_eq!(of(0xFFFF_000A), VmxType::Unset);
        assert_eq!(of(2), VmxType::ScalableServer);
        assert_eq!(of(4), VmxType::Workstation);
        assert_eq!(of(9), VmxType::Other(9));
    }

    /// Wherever this runs: it returns, and off VMware it says so.
    #[test]
    fn detection_on_this_machine_does_not_fault() {
        let guard = FaultGuard::install().unwrap();
        let platform = instruction::platform();
        for skip in [false, true] {
            let found = detect(skip, guard);
            if platform.hypervisor != Hypervisor::Vmware && !skip {
                assert_eq!(
                    without_access(found),
                    Detection::NotVmware {
                        hypervisor: platform.hypervisor
                    }
                );
            }
        }
    }

    #[test]
    fn the_hypervisor_in_words() {
        let found = Detection::Vmware {
            access: (),
            interface: Interface::Vmcall,
            vmx_type: VmxType::ScalableServer,
        };
        assert_eq!(
            found.check(false),
            Outcome::Works("VMware ESXi, backdoor through vmcall".into())
        );
        let other = Detection::<()>::NotVmware {
            hypervisor: Hypervisor::Kvm,
        };
        for skip in [false, true] {
            assert!(matches!(
                other.check(skip),
                Outcome::Fails { problem, remedy }
                    if problem.contains("VMware")
                        && problem.contains("KVM")
                        && remedy.contains("--skip-vmware-detection") != skip
            ));
        }
        let mute = Detection::Unresponsive {
            access: (),
            interface: Interface::Ports,
            error: ProbeError::NoAnswer,
        };
        assert!(matches!(
            mute.check(false),
            Outcome::Fails { problem, .. } if problem.contains("nobody answers")
        ));
    }
}
