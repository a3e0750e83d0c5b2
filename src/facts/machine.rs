/// What the kernel reports of the machine, before Talos can be asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Machine {
    /// Kernel release as uname prints it, such as `6.18.1-talos`.
    pub kernel_release: String,
    /// Kernel version as uname prints it, such as `#1 SMP PREEMPT_DYNAMIC Thu Nov 13 10:00:00 UTC 2026`.
    pub kernel_version: String,
    /// Kernel machine name as uname prints it, `x86_64` or `aarch64`.
    pub machine: String,
}
