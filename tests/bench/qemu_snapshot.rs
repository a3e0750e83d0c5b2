//! Snapshots of two QEMU guests, each with an ext4 and an XFS that are written to: ours, and Debian's qemu-ga.

use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use ::qemu::{Agent, Guest, Parts, SOON, Writers};

/// How long the host takes for one.
const LENGTH: Duration = Duration::from_secs(3);
/// How many are taken; the worst counts.
const SNAPSHOTS: usize = 3;

/// One column of numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Measured {
    /// From the host's guest-fsfreeze-freeze to its answer.
    pub(crate) to_frozen: Duration,
    /// How much longer than the snapshot a writer stood, from that answer to guest-fsfreeze-thaw.
    pub(crate) more: Duration,
}

/// Measures both, ours first.
pub(crate) fn measure(
    binary: &Path,
    relay: &Path,
) -> Result<Vec<(&'static str, Measured)>, Box<dyn Error>> {
    [("ours", Agent::Vmtoolsd), ("qemu-ga", Agent::QemuGa)]
        .into_iter()
        .map(|(name, agent)| {
            let parts = Parts::quiesced(binary, relay, &["--quiesce=freeze"])?;
            let guest = Guest::start(parts, agent)?;
            guest.opens_since(0);
            Ok((name, measured(&guest)?))
        })
        .collect()
}

fn measured(guest: &Guest) -> Result<Measured, Box<dyn Error>> {
    let writers = Writers::start(guest.parts.shell()?);
    let mut client = guest.client();
    let mut worst = Measured::default();
    for _ in 0..SNAPSHOTS {
        let since = writers.now();
        let asked = Instant::now();
        client.returns("guest-fsfreeze-freeze");
        let frozen = Instant::now();
        writers.shell().run(&format!("sleep {}", LENGTH.as_secs()));
        let taken = frozen.elapsed();
        client.returns("guest-fsfreeze-thaw");
        if !writers.move_within(SOON) {
            return Err("a file system stays frozen".into());
        }
        worst.to_frozen = worst.to_frozen.max(frozen - asked);
        let more = writers.longest_stand(since).saturating_sub(taken);
        worst.more = worst.more.max(more);
    }
    Ok(worst)
}
