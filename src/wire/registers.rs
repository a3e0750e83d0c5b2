//! The registers of a backdoor call and the numbers in them.

/// The seven registers of a call, 32 bits each (backdoor_types.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Registers {
    /// EAX / W0: the magic in, the command's result out.
    pub ax: u32,
    /// EBX / W1: the argument ("size") in, a result out.
    pub bx: u32,
    /// ECX / W2: command (low half) and sub-type (high half) in, status (high half) out.
    pub cx: u32,
    /// EDX / W3: port or flags (low half) and channel id (high half).
    pub dx: u32,
    /// ESI / W4: cookie, high half.
    pub si: u32,
    /// EDI / W5: cookie, low half.
    pub di: u32,
    /// EBP / W6: used by high bandwidth alone.
    pub bp: u32,
}
