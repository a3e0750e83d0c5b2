use std::task::Poll;
use std::time::Duration;

use proptest::prelude::*;

use super::node::{There, World, at, caller, is_same};
use crate::guest_operations::Failure;
use crate::guest_operations::files::snapshots::MOST;
use crate::guest_operations::files::{MOST_IN_ALL, MOST_IN_FILE, Opened};

const LOG: &str = "/talos/services/apid.log";

#[test]
fn a_log_is_what_it_was_when_the_transfer_began() {
    let mut world = World::new(&[]);
    let begun = world.begin("ops", LOG).unwrap();
    world
        .services
        .insert("apid".to_owned(), b"longer than before".to_vec());
    assert_eq!(world.attributes("ops", LOG).unwrap().size, begun.size);
    let opened = world.open("ops", LOG).unwrap();
    assert_eq!(world.read_all(&opened), Ok(b"log of apid\n".to_vec()));
    assert_eq!(world.attributes("ops", LOG).unwrap().size, begun.size);
    assert_eq!(
        world.download("ops", LOG),
        Ok(b"longer than before".to_vec())
    );
}

#[test]
fn two_transfers_of_a_user_that_begin_at_once_are_of_the_same_contents() {
    let mut world = World::new(&[]);
    world.begin("ops", LOG).unwrap();
    world
        .services
        .insert("apid".to_owned(), b"longer than before".to_vec());
    world.begin("ops", LOG).unwrap();
    let one = world.open("ops", LOG).unwrap();
    let other = world.open("ops", LOG).unwrap();
    assert!(is_same(&one, &other));
    assert_eq!(world.read_all(&one), Ok(b"log of apid\n".to_vec()));
}

#[test]
fn a_file_without_an_announced_transfer_is_read_as_it_is_now() {
    let mut world = World::new(&[]);
    let opened = world.open("ops", LOG).unwrap();
    assert_eq!(world.read_all(&opened), Ok(b"log of apid\n".to_vec()));
}

#[test]
fn what_is_asked_for_comes_ready_to_whoever_asks_again() {
    let mut world = World::new(&[]);
    world.is_deaf = |_| true;
    assert_eq!(world.begin("ops", LOG), Err(Failure::NotNow));
    let asked = world.asked.len();
    world.is_deaf = |_| false;
    world.pass(Duration::from_secs(2));
    let (ops, now) = (caller("ops"), world.now);
    let begun = world.ops.files().begin_transfer(&ops, &at(LOG), now);
    assert!(matches!(begun, Poll::Ready(Ok(attributes)) if attributes.size == 12));
    assert_eq!(world.asked.len(), asked, "Talos was asked once");
}

#[test]
fn a_failure_is_not_kept_for_whoever_asks_later() {
    let mut world = World::new(&[]);
    world.is_deaf = |_| true;
    assert_eq!(
        world.begin("ops", "/talos/services/new.log"),
        Err(Failure::NotNow)
    );
    world.is_deaf = |_| false;
    world.pass(Duration::from_secs(2));
    world.services.insert("new".to_owned(), b"new".to_vec());
    assert_eq!(
        world.download("ops", "/talos/services/new.log"),
        Ok(b"new".to_vec())
    );
}

#[test]
fn what_nobody_asks_for_any_more_is_forgotten_and_its_memory_given_back() {
    let mut world = World::new(&[]);
    world.begin("ops", LOG).unwrap();
    world.is_deaf = |_| true;
    assert_eq!(world.begin("ops", "/talos/dmesg.log"), Err(Failure::NotNow));
    assert!(world.list("ops", "/talos/services").is_err());
    assert!(world.held() > 0);
    world.pass(Duration::from_secs(16));
    assert_eq!(world.held(), 0);
    assert_eq!(world.ops.poll_timeout(), None);
    assert_eq!(world.ops.poll_step(), None);
}

#[test]
fn an_open_file_keeps_its_contents() {
    let mut world = World::new(&[]);
    let opened = world.open("ops", LOG).unwrap();
    world.pass(Duration::from_secs(600));
    assert_eq!(world.read_all(&opened), Ok(b"log of apid\n".to_vec()));
    assert_eq!(world.held(), 12);
    drop(opened);
    assert_eq!(world.held(), 0);
}

#[test]
fn a_user_who_is_none_any_more_has_no_files() {
    let mut world = World::new(&[]);
    world.begin("ops", LOG).unwrap();
    let mut config = super::node::config(&[]);
    config.users.retain(|user| user.name != "ops");
    world.ops.configure(&config);
    assert_eq!(world.held(), 0);
}

#[test]
fn a_file_that_is_too_long_is_refused_and_several_do_not_hold_more_than_all_may() {
    let mut world = World::with_logs();
    let big = |len: usize| There::File(vec![7; len], u64::try_from(len).unwrap());
    world
        .node
        .insert("/var/log/huge".to_owned(), big(MOST_IN_FILE + 1));
    assert_eq!(world.begin("ops", "/var/log/huge"), Err(Failure::NoRoom));
    for name in ["1", "2", "3"] {
        world.node.insert(format!("/var/log/{name}"), big(12 << 20));
    }
    let one = world.open("ops", "/var/log/1").unwrap();
    let two = world.open("ops", "/var/log/2").unwrap();
    assert_eq!(
        world.open("ops", "/var/log/3").unwrap_err(),
        Failure::NoRoom
    );
    assert!(world.held() <= MOST_IN_ALL);
    drop(one);
    let three = world.open("ops", "/var/log/3").unwrap();
    assert_eq!(world.read(&three, 0).unwrap().len(), 61_440);
    drop((two, three));
    world.pass(Duration::from_secs(16));
    assert_eq!(world.held(), 0);
}

#[test]
fn snapshots_that_nobody_waits_for_give_way_to_new_ones() {
    let mut world = World::new(&[]);
    for number in 0..2 * MOST {
        let id = format!("s{number}");
        world.services.insert(id.clone(), b"log".to_vec());
        assert_eq!(
            world.download("ops", &format!("/talos/services/{id}.log")),
            Ok(b"log".to_vec())
        );
    }
    assert!(world.held() <= 3 * MOST);
    for number in 0..MOST {
        world
            .begin("ops", &format!("/talos/services/s{number}.log"))
            .unwrap();
    }
    let begun = world.begin("ops", &format!("/talos/services/s{MOST}.log"));
    assert_eq!(begun, Err(Failure::Busy), "all are waited for");
    world.pass(Duration::from_secs(16));
    world.begin("ops", "/talos/services/s0.log").unwrap();
}

/// One random step of a user of files.
#[derive(Clone, Debug)]
enum Use {
    Begin(usize),
    Open(usize),
    Read(usize, u64),
    Close(usize),
    List(usize),
    Pass(u64),
    Deaf(bool),
    Grow(usize),
}

fn usage() -> impl Strategy<Value = Use> {
    prop_oneof![
        (0_usize..9).prop_map(Use::Begin),
        (0_usize..9).prop_map(Use::Open),
        (0_usize..9, 0_u64..200_000).prop_map(|(which, offset)| Use::Read(which, offset)),
        (0_usize..9).prop_map(Use::Close),
        (0_usize..9).prop_map(Use::List),
        (0_u64..20_000).prop_map(Use::Pass),
        any::<bool>().prop_map(Use::Deaf),
        (0_usize..(5 << 20)).prop_map(Use::Grow),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bounds_hold_and_memory_is_given_back_whatever_is_done(steps in prop::collection::vec(usage(), 1..60)) {
        const PATHS: [&str; 9] = [
            "/talos/services/apid.log", "/talos/dmesg.log", "/talos/support.tgz", "/talos/", "/",
            "/var/log/x.log", "/var/log?format=tgz", "/proc/meminfo", "/talos/services/",
        ];
        let mut world = World::with_logs();
        let mut opened: Vec<Opened> = Vec::new();
        for step in steps {
            match step {
                Use::Begin(path) => { let _ = world.begin("ops", PATHS[path]); }
                Use::Open(path) => opened.extend(world.open("ops", PATHS[path])),
                Use::Read(which, offset) => {
                    if let Some(opened) = opened.get(which) {
                        let _ = world.read(opened, offset);
                        let _ = world.read(opened, 0);
                    }
                }
                Use::Close(which) => if which < opened.len() {
                    let closed = opened.remove(which);
                    world.close(&closed);
                },
                Use::List(path) => { let _ = world.list("ops", PATHS[path]); }
                Use::Pass(millis) => world.pass(Duration::from_millis(millis)),
                Use::Deaf(deaf) => world.is_deaf = if deaf { |_| true } else { |_| false },
                Use::Grow(len) => {
                    world.dmesg = vec![1; len];
                    world.services.insert("apid".to_owned(), vec![2; len]);
                }
            }
            // What is packed ahead of a read comes on top, a bounded piece for each archive.
            prop_assert!(world.held() <= MOST_IN_ALL + (2 << 20), "{}", world.held());
            prop_assert!(world.at_a_time <= 96);
        }
        drop(opened);
        world.pass(Duration::from_secs(100));
        prop_assert_eq!(world.held(), 0);
        prop_assert_eq!(world.ops.poll_timeout(), None);
    }
}
