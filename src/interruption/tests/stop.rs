//! The process ends.

use super::*;

fn stop(bench: &mut Bench) -> Vec<String> {
    bench.interruption.stop(bench.now);
    bench.take()
}

#[test]
fn what_has_not_been_asked_of_talos_is_asked_at_once() {
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.press(Shutdown);
    assert_eq!(stop(&mut bench), ["call 1 Shutdown"], "looking");
    assert!(bench.interruption.is_calling());
    let mut bench = Bench::control_plane(QuorumGuard::Hold);
    bench.press(Reboot);
    bench.etcd(members(3, 2));
    assert!(!bench.interruption.is_calling());
    assert_eq!(stop(&mut bench), ["call 1 Reboot"], "holding");
    assert_eq!(bench.accepted(1), ["accepted", "= stopping"]);
    assert!(!bench.interruption.is_calling());
    let mut bench = Bench::with(|config| {
        config.reboot_mode = RebootMode::Force;
        config.etcd.forfeit.force_reboot = true;
    });
    bench.press(Reboot);
    bench.etcd(members(3, 3));
    assert_eq!(stop(&mut bench), ["call 1 Reboot"], "handing over");
}

#[test]
fn what_talos_has_is_not_asked_for_again() {
    let mut bench = Bench::worker();
    assert_eq!(stop(&mut bench), [""; 0], "idle");
    bench.press(Shutdown);
    assert_eq!(stop(&mut bench), [""; 0], "calling");
    let logged = crate::log::logged::Logged::new();
    let mut bench = draining();
    assert_eq!(stop(&mut bench), [""; 0], "draining");
    let warnings = logged.warnings();
    assert!(
        warnings
            .iter()
            .any(|line| line.contains("stopping during a drain"))
    );
    bench.until(s(60));
    assert_eq!(stop(&mut bench), [""; 0], "hurrying");
    bench.rejected(2);
    let second = ["call 3 Shutdown forced over the first"];
    assert_eq!(stop(&mut bench), second, "between two attempts");
}
