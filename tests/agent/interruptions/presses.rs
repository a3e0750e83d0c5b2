//! A button that is pressed again: at first the same operation, later "now".

use std::time::Duration;

use apid::Method;

use crate::support::pass;

use super::node::{
    BOTH, HALT_DONE, both, calls, draining, due, of_three, press, run, shows, statuses,
    that_was_all,
};

#[test]
fn a_second_press_soon_after_the_first_changes_nothing() {
    let talos = draining();
    let run = run(&talos, "{shutdown: {escalate_after: 20s}}");
    press(&run, "OS_Halt");
    shows(&run, "draining");
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 2), [HALT_DONE; 2], "each press has a status");
    that_was_all(&run, &talos, Method::Shutdown, &["force=false"]);
    shows(&run, "draining");
}

#[test]
fn a_second_press_after_a_while_means_now() {
    let talos = draining();
    let run = run(&talos, "{shutdown: {escalate_after: 1s}}");
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 1), [HALT_DONE]);
    shows(&run, "draining");
    pass(&run, Duration::from_millis(1100));
    let pressed = press(&run, "OS_Halt");
    let calls = both(&talos);
    due(Duration::ZERO, calls[1].when, pressed);
    assert_eq!(statuses(&run, 2), [HALT_DONE; 2]);
    shows(&run, "stopping");
    // Nothing is quicker than that.
    press(&run, "OS_Halt");
    assert_eq!(statuses(&run, 3), [HALT_DONE; 3]);
    that_was_all(&run, &talos, Method::Shutdown, &BOTH);
}

#[test]
fn a_second_press_ends_a_hold_and_leaves_out_the_drain() {
    let talos = of_three(2);
    let settings = "{etcd: {guard: hold}, shutdown: {escalate_after: 1s}}";
    let run = run(&talos, settings);
    press(&run, "OS_Halt");
    shows(&run, "holding");
    pass(&run, Duration::from_millis(1100));
    assert!(talos.calls_of(Method::Shutdown).is_empty());
    let pressed = press(&run, "OS_Halt");
    let calls = calls(&talos, Method::Shutdown, 1);
    due(Duration::ZERO, calls[0].when, pressed);
    assert_eq!(statuses(&run, 2), [HALT_DONE; 2]);
    that_was_all(&run, &talos, Method::Shutdown, &["force=true"]);
}
