//! Guest operations while Talos is slow, silent, away, refuses or breaks off: each request has its answer in time, the
//! host is served, and Talos is not called for nothing.

use std::time::{Duration, Instant};

use apid::{Code, Method, Status, Step, Trouble};
use vmx::guest_operations::{GuestClient, Refused, op};

use crate::support::{PASSWORD, Run, SOON, Talos, pass};

/// vCenter gives up not long after.
const IN_TIME: Duration = Duration::from_secs(4);

/// Answers that mean: not now.
const NOT_NOW: [i64; 3] = [5, 7, 13];

fn started(talos: &Talos) -> Run {
    let run = Run::start(talos.for_users(&[("ops", "")]));
    run.informed();
    // The simulated host complains sooner than the agent gives up on Talos.
    run.tolerate("took");
    run
}

fn user(run: &Run) -> GuestClient<'_> {
    GuestClient::new(&**run, "ops", PASSWORD)
}

type Request = (&'static str, fn(&GuestClient<'_>) -> Result<(), Refused>);

/// Those that need Talos.
const REQUESTS: [Request; 7] = [
    ("processes", |user| user.processes(&[]).map(drop)),
    ("services", |user| user.names("/talos/services").map(drop)),
    ("resources", |user| user.names("/talos/resources").map(drop)),
    ("dmesg", |user| {
        user.initiate_download("/talos/dmesg.log").map(drop)
    }),
    ("a log", |user| {
        user.initiate_download("/talos/services/etcd.log").map(drop)
    }),
    ("a type", |user| {
        user.initiate_download("/talos/resources/hostnamestatuses.yaml")
            .map(drop)
    }),
    ("all of it", |user| {
        user.initiate_download("/talos/support.tgz").map(drop)
    }),
];

/// Makes all requests; each is answered in time, and as this says.
fn all_answered(run: &Run, as_expected: impl Fn(&str, Result<(), Refused>)) {
    let user = user(run);
    for (name, request) in REQUESTS {
        let begun = Instant::now();
        let result = request(&user);
        let took = begun.elapsed();
        assert!(took < IN_TIME, "{name}: {took:?}");
        as_expected(name, result);
        let latency = run.asked("ping").latency().unwrap();
        assert!(latency < Duration::from_secs(1), "{name}: {latency:?}");
        let state = user.error(op::GET_TOOLS_STATE, &[]);
        assert_eq!(state, Ok(0), "{name}");
    }
}

fn not_now(name: &str, result: Result<(), Refused>) {
    match result {
        // The collection has what there is, and says what it lacks.
        Ok(()) if name == "all of it" => {}
        Err(Refused::Vix(error)) if NOT_NOW.contains(&error) => {}
        other => panic!("{name}: {other:?}"),
    }
}

/// All is well again; what failed before may be kept for a moment.
fn recovers(run: &Run) {
    let user = user(run);
    let deadline = Instant::now() + SOON;
    for (name, request) in REQUESTS {
        while let Err(error) = request(&user) {
            assert!(Instant::now() < deadline, "{name}: {error}");
            pass(run, Duration::from_millis(50));
        }
    }
    assert_eq!(user.processes(&[]).unwrap().len(), 303);
    assert!(run.vcenter().is_green());
}

#[test]
fn while_talos_is_silent_each_request_has_its_answer_in_time() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.hang();
    all_answered(&run, not_now);
    talos.resume();
    recovers(&run);
    run.stop();
}

#[test]
fn while_talos_is_away_each_request_has_its_answer_in_time() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.stop();
    all_answered(&run, not_now);
    talos.restart().unwrap();
    recovers(&run);
    run.stop();
}

#[test]
fn what_talos_refuses_is_refused_in_time_and_is_no_fault_of_the_node() {
    let talos = Talos::new();
    let run = started(&talos);
    for method in [
        Method::Processes,
        Method::ServiceList,
        Method::ListResources,
        Method::Get,
        Method::Dmesg,
        Method::Logs,
    ] {
        talos.allow(method, &[]);
    }
    all_answered(&run, not_now);
    assert!(
        run.log_lines(&["Talos refuses a part of its API"])
            .is_empty()
    );
    run.stop();
}

#[test]
fn a_slow_talos_is_waited_for() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.delay(Method::Processes, Duration::from_millis(1500));
    let begun = Instant::now();
    assert_eq!(user(&run).processes(&[]).unwrap().len(), 303);
    assert!(begun.elapsed() > Duration::from_secs(1));
    // Too slow for one request; Talos is not asked twice for that.
    talos.delay(Method::Processes, Duration::from_secs(60));
    let before = talos.calls_of(Method::Processes).len();
    not_now("processes", user(&run).processes(&[]).map(drop));
    assert_eq!(talos.calls_of(Method::Processes).len(), before + 1);
    run.stop();
}

#[test]
fn a_log_that_breaks_off_is_never_passed_off_as_whole() {
    for trouble in [
        Trouble::Reset,
        Trouble::Silent,
        Trouble::Status(Code::Unavailable),
    ] {
        let talos = Talos::new();
        let run = started(&talos);
        let mut count = 0;
        talos.on_step(move |step| match step {
            Step::Message(Method::Logs, _) => {
                count += 1;
                (count == 1000).then_some(trouble)
            }
            _ => None,
        });
        let path = "/talos/services/etcd.log";
        let begun = Instant::now();
        let first = user(&run).initiate_download(path).map(drop);
        assert!(begun.elapsed() < IN_TIME, "{trouble:?}");
        not_now("a log", first);
        let deadline = Instant::now() + SOON;
        let whole = loop {
            match user(&run).download(path) {
                Ok(whole) => break whole,
                Err(error) => assert!(Instant::now() < deadline, "{trouble:?}: {error}"),
            }
        };
        let lines = String::from_utf8(whole).unwrap().lines().count();
        assert_eq!(lines, 2000, "{trouble:?}");
        run.stop();
    }
}

/// What only guest operations ask.
fn asked(talos: &Talos) -> usize {
    let asked = |call: &apid::Call| {
        matches!(
            call.method,
            Some(
                Method::Processes
                    | Method::ServiceList
                    | Method::ListResources
                    | Method::List
                    | Method::Read
                    | Method::Dmesg
                    | Method::Logs
                    | Method::Containers
                    | Method::Stats
                    | Method::Memory
                    | Method::Netstat
            )
        )
    };
    talos.calls().iter().filter(|call| asked(call)).count()
}

#[test]
fn nothing_is_asked_of_talos_while_nobody_asks() {
    let talos = Talos::new();
    let run = started(&talos);
    let user = user(&run);
    user.validate().unwrap();
    user.environment(&[]).unwrap();
    pass(&run, Duration::from_secs(3));
    assert_eq!(asked(&talos), 0);
    user.processes(&[]).unwrap();
    assert_eq!(asked(&talos), 1);
    pass(&run, Duration::from_secs(3));
    assert_eq!(asked(&talos), 1);
    run.stop();
}

#[test]
fn a_log_without_end_is_followed_beside_everything_else_until_it_is_ended() {
    let talos = Talos::new();
    let run = started(&talos);
    talos.flood_log("apid", "and on and on");
    let user = user(&run);
    let pid = user.start("/bin/talosctl", "logs apid -f").unwrap();
    let follows = |talos: &apid::Apid| (talos.follower_count() == 1).then_some(());
    talos.wait_for(SOON, follows).unwrap();
    for _ in 0..20 {
        let latency = run.asked("ping").latency().unwrap();
        assert!(latency < Duration::from_millis(500), "{latency:?}");
    }
    assert_eq!(user.processes(&[]).unwrap().len(), 304);
    user.terminate(pid).unwrap();
    let gone = |talos: &apid::Apid| (talos.follower_count() == 0).then_some(());
    talos.wait_for(SOON, gone).unwrap();
    run.stop();
}

#[test]
fn a_program_says_why_talos_did_not_answer() {
    let talos = Talos::new();
    let run = started(&talos);
    let user = user(&run);
    talos.fail_next(
        Method::Version,
        &Status::unavailable("machined restarts"),
        1,
    );
    let finished = user.run("/bin/talosctl", "version").unwrap();
    let stderr = String::from_utf8(finished.stderr).unwrap();
    assert_ne!(finished.code, 0, "{stderr}");
    assert!(stderr.contains("machined restarts"), "{stderr}");

    talos.allow(Method::Dmesg, &[]);
    let finished = user.run("/bin/talosctl", "dmesg").unwrap();
    let stderr = String::from_utf8(finished.stderr).unwrap();
    assert!(stderr.contains("not authorized"), "{stderr}");
    let finished = user.run("/bin/talosctl", "get machineconfig").unwrap();
    let stderr = String::from_utf8(finished.stderr).unwrap();
    assert!(stderr.contains("sensitive"), "{stderr}");
    run.stop();
}
