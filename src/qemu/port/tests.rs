//! A session on a fake port that behaves as a real one was seen to, on a clock that stands still.

use std::collections::VecDeque;
use std::fs;
use std::io::{Error, ErrorKind, Result};

use nix::libc::ENODEV;

use super::session::{Device, PATIENCE, Readiness};
use super::*;

/// What the kernel and the hypervisor hold for the guest.
#[derive(Default)]
struct FakePort {
    /// Bytes for the guest.
    inbound: VecDeque<u8>,
    /// What the client could read.
    outbound: Vec<u8>,
    /// The guest knows of a client.
    has_client: bool,
    /// How many more bytes the client takes.
    room: usize,
    is_unplugged: bool,
    /// What goes wrong at the call of this number, counted from 0.
    fault: Option<(usize, Fault)>,
    calls: usize,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Again,
    OneByte,
    Leaves,
    Unplugged,
}

impl FakePort {
    fn with_client() -> Self {
        Self {
            has_client: true,
            room: usize::MAX,
            ..Self::default()
        }
    }

    fn sends(&mut self, text: &str) {
        self.inbound.extend(text.as_bytes());
    }

    /// The client goes: the host throws away what it has not read.
    fn leaves(&mut self) {
        self.has_client = false;
        self.room = 0;
        self.outbound.clear();
    }

    fn comes(&mut self) {
        self.has_client = true;
        self.room = usize::MAX;
    }

    fn reads(&mut self) -> String {
        String::from_utf8(std::mem::take(&mut self.outbound)).unwrap()
    }

    /// What is wrong with this call.
    fn call(&mut self) -> Result<Option<Fault>> {
        let due = self.fault.filter(|(at, _)| *at == self.calls);
        self.calls += 1;
        match due {
            Some((_, Fault::Leaves)) => self.leaves(),
            Some((_, Fault::Unplugged)) => self.is_unplugged = true,
            _ => {}
        }
        if self.is_unplugged {
            return Err(Error::from_raw_os_error(ENODEV));
        }
        Ok(due.map(|(_, fault)| fault))
    }
}

impl Device for FakePort {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let most = match self.call()? {
            Some(Fault::Again) => return Err(ErrorKind::WouldBlock.into()),
            Some(Fault::OneByte) => 1,
            _ => buffer.len().min(4096),
        };
        let count = self.inbound.len().min(most);
        if count == 0 && self.has_client {
            return Err(ErrorKind::WouldBlock.into());
        }
        for (place, byte) in buffer.iter_mut().zip(self.inbound.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        let most = match self.call()? {
            Some(Fault::Again) => return Err(ErrorKind::WouldBlock.into()),
            Some(Fault::OneByte) => 1,
            _ => 32_768,
        };
        let count = bytes.len().min(most).min(self.room);
        if !self.has_client || count == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= count;
        self.outbound.extend(&bytes[..count]);
        Ok(count)
    }

    fn poll(&mut self) -> Result<Readiness> {
        if self.is_unplugged {
            return Ok(Readiness::default());
        }
        Ok(Readiness {
            has_client: self.has_client,
            is_writable: self.has_client && self.room > 0,
        })
    }
}

/// A session and its port, and the time.
struct Bench {
    session: Session,
    port: FakePort,
    now: Duration,
}

impl Bench {
    fn new(port: FakePort) -> Self {
        Self {
            session: Session::new(),
            port,
            now: Duration::from_secs(100),
        }
    }

    fn turn(&mut self) -> Turn {
        self.session.turn(&mut self.port, self.now)
    }

    /// All events until there is nothing to do now, and when there is again.
    fn events(&mut self) -> (Vec<PortEvent>, Option<Duration>) {
        let mut events = Vec::new();
        for _ in 0..10_000 {
            match self.turn() {
                Turn::Event(event) => events.push(event),
                Turn::Wait(until) => return (events, until),
                Turn::Gone(error) => panic!("gone: {error}"),
            }
        }
        panic!("it turns in circles: {} events", events.len());
    }

    /// Lets time pass by what the session asks for, as far as a deadline.
    fn pass(&mut self, time: Duration) -> Vec<PortEvent> {
        let end = self.now + time;
        let mut all = Vec::new();
        loop {
            let (events, until) = self.events();
            all.extend(events);
            match until.filter(|until| *until <= end) {
                Some(until) => {
                    assert!(until > self.now, "a wait for what was");
                    self.now = until;
                }
                None => {
                    self.now = end;
                    all.extend(self.events().0);
                    return all;
                }
            }
        }
    }

    /// Everything that can be read.
    fn bytes(&mut self) -> String {
        let (events, _) = self.events();
        let bytes = events.into_iter().filter_map(|event| match event {
            PortEvent::Bytes(bytes) => Some(bytes),
            _ => None,
        });
        String::from_utf8(bytes.flatten().collect()).unwrap()
    }
}

fn bytes(text: &str) -> PortEvent {
    PortEvent::Bytes(text.as_bytes().to_vec())
}

const MILLI: Duration = Duration::from_millis(1);

#[test]
fn a_request_goes_in_and_its_reply_out() {
    let mut bench = Bench::new(FakePort::with_client());
    assert_eq!(
        bench.events(),
        (vec![], None),
        "nothing to do, and no timer"
    );
    bench.port.sends("ping");
    assert_eq!(bench.events(), (vec![bytes("ping")], None));
    bench.session.send(b"pong\n".to_vec());
    assert!(bench.session.is_writing());
    assert_eq!(bench.events(), (vec![PortEvent::Written], None));
    assert_eq!(bench.port.reads(), "pong\n");
    assert!(!bench.session.is_writing());
}

#[test]
fn without_a_client_there_is_nothing_to_wait_for() {
    let mut bench = Bench::new(FakePort::default());
    assert_eq!(bench.events(), (vec![], None));
    bench.session.send(b"to nobody\n".to_vec());
    assert_eq!(bench.events(), (vec![], None));
    bench.port.comes();
    assert_eq!(bench.events(), (vec![], None));
    assert_eq!(bench.port.reads(), "");
}

#[test]
fn a_client_whose_news_is_late_gets_its_reply() {
    let mut bench = Bench::new(FakePort::default());
    bench.port.sends("ping");
    assert_eq!(bench.bytes(), "ping");
    bench.session.send(b"pong\n".to_vec());
    assert_eq!(bench.pass(240 * MILLI), []);
    bench.port.comes();
    assert_eq!(bench.pass(20 * MILLI), [PortEvent::Written]);
    assert_eq!(bench.port.reads(), "pong\n");
    // And it is known from then on.
    bench.port.leaves();
    assert_eq!(bench.events().0, [PortEvent::Left]);
}

#[test]
fn a_client_that_came_and_went_unseen_leaves_no_reply_behind() {
    for replies in [0, 1] {
        let mut bench = Bench::new(FakePort::default());
        bench.port.sends("ping");
        assert_eq!(bench.bytes(), "ping");
        for _ in 0..replies {
            bench.session.send(b"pong\n".to_vec());
        }
        assert_eq!(bench.pass(249 * MILLI), []);
        let events = bench.pass(2 * MILLI);
        assert_eq!(events.last(), Some(&PortEvent::Left), "{events:?}");
        bench.session.send(b"late\n".to_vec());
        bench.port.comes();
        assert_eq!(bench.pass(PATIENCE), []);
        assert_eq!(bench.port.reads(), "");
    }
}

#[test]
fn what_a_client_leaves_behind_is_carried_out_and_not_answered() {
    for is_owed in [false, true] {
        leaves_requests_behind(is_owed);
    }
}

fn leaves_requests_behind(is_owed: bool) {
    let mut bench = Bench::new(FakePort::with_client());
    bench.events();
    if is_owed {
        bench.port.room = 0;
        bench.session.send(b"not taken\n".to_vec());
    }
    let requests = "x".repeat(10_000);
    bench.port.sends(&requests);
    bench.port.leaves();
    let mut read = 0;
    loop {
        match bench.turn() {
            Turn::Event(PortEvent::Bytes(bytes)) => {
                read += bytes.len();
                bench.session.send(b"reply\n".to_vec());
            }
            Turn::Event(PortEvent::Written) => {}
            Turn::Event(PortEvent::Left) => break,
            turn => panic!("{turn:?}"),
        }
    }
    assert_eq!(read, requests.len());
    bench.port.comes();
    assert_eq!(bench.events(), (vec![], None));
    assert_eq!(bench.port.reads(), "", "an answer to another's question");
    bench.port.sends("mine");
    assert_eq!(bench.bytes(), "mine");
    bench.session.send(b"yours\n".to_vec());
    bench.events();
    assert_eq!(bench.port.reads(), "yours\n");
}

/// A client that was served has gone, and there are bytes whose sender is not known.
fn handover() -> Bench {
    let mut bench = Bench::new(FakePort::with_client());
    bench.port.sends("first");
    assert_eq!(bench.bytes(), "first");
    bench.session.send(b"its reply\n".to_vec());
    bench.events();
    bench.port.leaves();
    bench.port.sends("next");
    assert_eq!(bench.events().0, [PortEvent::Left, bytes("next")]);
    bench.session.send(b"reply\n".to_vec());
    assert_eq!(bench.pass(MILLI), []);
    bench
}

#[test]
fn a_client_that_comes_as_one_that_was_served_goes_gets_its_reply() {
    let mut bench = handover();
    bench.port.comes();
    bench.pass(20 * MILLI);
    assert_eq!(bench.port.reads(), "reply\n");
}

#[test]
fn what_a_client_that_was_served_left_behind_is_not_answered_to_the_next() {
    let mut bench = handover();
    assert_eq!(
        bench.pass(20 * MILLI),
        [PortEvent::Written, PortEvent::Left]
    );
    bench.port.comes();
    bench.pass(20 * MILLI);
    assert_eq!(bench.port.reads(), "");
}

#[test]
fn a_reply_half_written_when_its_client_leaves_is_dropped() {
    let mut bench = Bench::new(FakePort::with_client());
    bench.port.room = 3;
    bench.port.sends("a");
    assert_eq!(bench.bytes(), "a");
    bench.session.send(b"12345\n".to_vec());
    bench.events();
    bench.port.leaves();
    assert_eq!(
        bench.events().0,
        [PortEvent::Written, PortEvent::Left],
        "nothing is owed any more"
    );
    bench.port.comes();
    bench.port.sends("b");
    assert_eq!(bench.bytes(), "b");
    bench.session.send(b"67\n".to_vec());
    bench.events();
    assert_eq!(bench.port.reads(), "67\n");
}

#[test]
fn a_long_reply_goes_out_in_pieces() {
    let mut bench = Bench::new(FakePort::with_client());
    bench.events();
    let reply = vec![b'r'; 200_000];
    bench.session.send(reply.clone());
    bench.port.room = 150_000;
    let (events, until) = bench.events();
    assert_eq!(events, []);
    assert_eq!(until, Some(bench.now + PATIENCE));
    bench.now += PATIENCE / 2;
    bench.port.room = 1000;
    assert_eq!(bench.events().1, Some(bench.now + PATIENCE), "it does read");
    bench.port.room = usize::MAX;
    assert_eq!(bench.events(), (vec![PortEvent::Written], None));
    assert_eq!(bench.port.reads().into_bytes(), reply);
}

#[test]
fn nothing_more_is_read_while_a_reply_waits() {
    let mut bench = Bench::new(FakePort::with_client());
    bench.events();
    bench.port.room = 0;
    bench.session.send(b"reply\n".to_vec());
    bench.port.sends("more");
    assert_eq!(bench.events().0, []);
    assert_eq!(bench.port.inbound.len(), 4);
    bench.port.room = usize::MAX;
    assert_eq!(bench.events().0, [PortEvent::Written, bytes("more")]);
}

#[test]
fn a_client_that_does_not_read_costs_one_deadline_and_later_gets_whole_lines() {
    let mut bench = Bench::new(FakePort::with_client());
    bench.events();
    bench.port.room = 2;
    bench.session.send(b"first\n".to_vec());
    assert_eq!(bench.pass(PATIENCE - MILLI), []);
    assert_eq!(bench.pass(MILLI), [PortEvent::Written]);
    // All that follow are dropped at once.
    for _ in 0..1900 {
        bench.session.send(b"more\n".to_vec());
        assert!(!bench.session.is_writing());
    }
    bench.port.room = usize::MAX;
    bench.port.sends("still here");
    assert_eq!(bench.bytes(), "still here");
    for reply in ["second\n", "third\n"] {
        bench.session.send(reply.as_bytes().to_vec());
    }
    bench.events();
    assert_eq!(bench.port.reads(), "fi\nsecond\nthird\n");
}

#[test]
fn a_stopped_session_writes_what_it_owes_and_reads_nothing() {
    let mut bench = Bench::new(FakePort::with_client());
    bench.events();
    bench.session.send(b"last\n".to_vec());
    bench.session.stop();
    bench.port.sends("more");
    assert_eq!(bench.events(), (vec![PortEvent::Written], None));
    assert_eq!(bench.port.reads(), "last\n");
    assert_eq!(bench.port.inbound.len(), 4);
}

/// A session of two clients, with a fault at one of its calls; the calls that it took.
fn play(fault: Option<(usize, Fault)>) -> usize {
    let mut bench = Bench::new(FakePort::with_client());
    bench.port.fault = fault;
    for (requests, replies, other) in [("aaa", "A\nA\nA\n", 'B'), ("bbb", "B\nB\nB\n", 'A')] {
        let mut is_sent = false;
        for step in 0.. {
            assert!(step < 1000, "{fault:?}: it does not end");
            match bench.turn() {
                Turn::Event(PortEvent::Bytes(bytes)) => {
                    for byte in bytes {
                        bench.session.send(vec![byte.to_ascii_uppercase(), b'\n']);
                    }
                }
                Turn::Event(PortEvent::Left | PortEvent::Written | PortEvent::Unplugged) => {}
                Turn::Wait(_) if !is_sent => {
                    is_sent = true;
                    bench.port.comes();
                    bench.port.sends(requests);
                }
                Turn::Wait(_) if bench.port.inbound.is_empty() && !bench.session.is_writing() => {
                    break;
                }
                // The kernel would ring by now.
                Turn::Wait(until) => bench.now = until.unwrap_or(bench.now + MILLI),
                Turn::Gone(_) => {
                    let unplugged = matches!(fault, Some((_, Fault::Unplugged)));
                    assert!(unplugged && bench.port.is_unplugged, "{fault:?}");
                    // Plugged in again, with the next client.
                    bench.port = FakePort::with_client();
                    bench.session = bench.session.successor();
                    assert!(!bench.session.is_writing(), "{fault:?}");
                    break;
                }
            }
        }
        let reads = bench.port.reads();
        assert!(!reads.contains(other), "{fault:?}: {reads:?} is another's");
        if matches!(fault, None | Some((_, Fault::Again | Fault::OneByte))) {
            assert_eq!(reads, replies, "{fault:?}");
        }
        bench.port.leaves();
    }
    bench.port.calls
}

#[test]
fn a_fault_at_any_step_loses_and_mixes_up_nothing() {
    let calls = play(None);
    assert!(calls > 10, "{calls}");
    for at in 0..calls {
        for fault in [
            Fault::Again,
            Fault::OneByte,
            Fault::Leaves,
            Fault::Unplugged,
        ] {
            play(Some((at, fault)));
        }
    }
}

/// A folder for a pretended sysfs and /dev.
struct Machine(Roots);

impl Machine {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("qemu-port-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let roots = Roots {
            sys: folder.join("sys"),
            dev: folder.join("dev"),
        };
        fs::create_dir_all(&roots.sys).unwrap();
        fs::create_dir_all(&roots.dev).unwrap();
        Self(roots)
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.sys.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn plug(&self, port: &str, name: &str, number: &str) {
        let folder = format!("class/virtio-ports/{port}");
        self.write(&format!("{folder}/name"), &format!("{name}\n"));
        self.write(&format!("{folder}/dev"), &format!("{number}\n"));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.sys.parent().unwrap());
    }
}

#[test]
fn the_port_is_found_by_its_name_among_others() {
    let machine = Machine::new("found");
    assert_eq!(machine.0.port(), None);
    machine.plug("vport0p1", "com.redhat.spice.0", "244:1");
    machine.write("class/virtio-ports/vport0p3/dev", "244:3\n");
    assert_eq!(machine.0.port(), None);
    machine.plug("vport0p2", "org.qemu.guest_agent.0", "244:2");
    let listed = machine.0.port().unwrap();
    assert_eq!(listed.name, "vport0p2");
    assert_eq!(listed.number, nix::sys::stat::makedev(244, 2));
    // What is no number is no port.
    machine.plug("vport0p2", "org.qemu.guest_agent.0", "none");
    assert_eq!(machine.0.port(), None);
}

#[test]
fn a_virtio_serial_device_is_known_before_its_port_and_its_driver() {
    let of_a_disk = Machine::new("disk");
    of_a_disk.write("bus/virtio/devices/virtio0/device", "0x0002\n");
    of_a_disk.write("bus/pci/devices/0000:00:02.0/vendor", "0x1af4\n");
    of_a_disk.write("bus/pci/devices/0000:00:02.0/device", "0x1001\n");
    // Another vendor's with the same number.
    of_a_disk.write("bus/pci/devices/0000:00:03.0/vendor", "0x8086\n");
    of_a_disk.write("bus/pci/devices/0000:00:03.0/device", "0x1003\n");
    assert!(!of_a_disk.0.has_port_or_device());
    let loaded = Machine::new("loaded");
    loaded.write("bus/virtio/devices/virtio1/device", "0x0003\n");
    assert!(loaded.0.has_port_or_device());
    for number in ["0x1003", "0x1043"] {
        let early = Machine::new("early");
        early.write("bus/pci/devices/0000:00:04.0/vendor", "0x1af4\n");
        early.write(
            "bus/pci/devices/0000:00:04.0/device",
            &format!("{number}\n"),
        );
        assert!(early.0.has_port_or_device(), "{number}");
    }
}

#[test]
fn a_node_is_made_and_one_of_another_number_replaced() {
    let machine = Machine::new("node");
    let node = machine.0.dev.join("vport0p1");
    fs::write(&node, "left over").unwrap();
    // /dev/null's: any other may not be opened everywhere.
    machine.plug("vport0p1", "org.qemu.guest_agent.0", "1:3");
    match machine.0.look(None) {
        Err(PortError::NoNode(error)) => {
            eprintln!("*** SKIPPED: no nodes can be made here: {error} ***");
        }
        found => {
            assert_eq!(found.unwrap(), Some(node.clone()));
            let number = device_number(&node).unwrap();
            assert_eq!(number, nix::sys::stat::makedev(1, 3));
            // udev's link is taken where it is there.
            let link = machine.0.dev.join("virtio-ports").join(NAME);
            fs::create_dir(link.parent().unwrap()).unwrap();
            std::os::unix::fs::symlink("../vport0p1", &link).unwrap();
            assert_eq!(machine.0.look(None).unwrap(), Some(link));
            // It comes back as another: the old node is none of it.
            machine.plug("vport0p1", "org.qemu.guest_agent.0", "1:5");
            let found = machine.0.look(None).unwrap().unwrap();
            assert_eq!(
                device_number(&found).unwrap(),
                nix::sys::stat::makedev(1, 5)
            );
        }
    }
}

#[test]
fn what_is_named_is_a_device_or_missing_or_a_clear_error() {
    let machine = Machine::new("named");
    let path = |name: &str| machine.0.dev.join(name);
    fs::write(path("file"), "").unwrap();
    fs::create_dir(path("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", path("link")).unwrap();
    for wrong in ["file", "folder", "file/below"] {
        let error = machine.0.look(Some(&path(wrong))).unwrap_err().to_string();
        assert!(
            error.contains(wrong) && error.contains("character device"),
            "{error}"
        );
        assert!(error.contains("--qga-port"), "{error}");
    }
    for missing in ["link", "missing", "no/folder"] {
        assert_eq!(machine.0.look(Some(&path(missing))).unwrap(), None);
    }
    let null = Path::new("/dev/null");
    assert_eq!(machine.0.look(Some(null)).unwrap(), Some(null.to_owned()));
}

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_path_that_comes_is_noticed_wherever_its_folders_are_by_then() {
    let machine = Machine::new("arrival");
    let path = machine.0.dev.join("one/two/port");
    let mut arrival = Arrival::new(Some(path.clone()));
    let mut news = 0;
    while !path.exists() {
        let waited = tokio::time::timeout(DEADLINE, arrival.news()).await;
        assert!(waited.is_ok(), "{news} pieces of news");
        news += 1;
        match news {
            1 => fs::create_dir(machine.0.dev.join("one")).unwrap(),
            2 => fs::create_dir(machine.0.dev.join("one/two")).unwrap(),
            _ => fs::write(&path, "").unwrap(),
        }
    }
    let last = tokio::time::timeout(DEADLINE, arrival.news()).await;
    assert!(last.is_ok());
}

#[tokio::test]
async fn where_a_link_leads_is_watched_as_well() {
    let machine = Machine::new("link");
    fs::create_dir(machine.0.dev.join("virtio-ports")).unwrap();
    let link = machine.0.dev.join("virtio-ports/port");
    std::os::unix::fs::symlink("../vport0p1", &link).unwrap();
    let mut arrival = Arrival::new(Some(link.clone()));
    arrival.news().await;
    fs::write(machine.0.dev.join("vport0p1"), "").unwrap();
    let noticed = tokio::time::timeout(DEADLINE, arrival.news()).await;
    assert!(noticed.is_ok() && link.exists());
}

fn port_at(path: &Path, machine: &Machine) -> (Port, oneshot::Receiver<PortError>) {
    let arrival = Arrival::new(Some(path.to_owned()));
    let (mut port, failure) = Port::new(path.to_owned(), machine.0.clone(), arrival).unwrap();
    assert!(matches!(port.check(), Outcome::NotChecked(_)));
    port.open();
    (port, failure)
}

#[tokio::test]
async fn a_plain_file_is_no_port() {
    let machine = Machine::new("plain");
    let path = machine.0.dev.join("file");
    fs::write(&path, "").unwrap();
    let (mut port, failure) = port_at(&path, &machine);
    let error = tokio::select! {
        event = port.next() => panic!("{event:?}"),
        error = failure => error.unwrap(),
    };
    assert!(matches!(error, PortError::NoDevice(named) if named == path));
    assert!(matches!(port.check(), Outcome::Fails { .. }));
}

#[tokio::test]
async fn a_pipe_serves_as_a_port_with_bytes_at_each_ring_and_none_in_between() {
    let machine = Machine::new("pipe");
    let path = machine.0.dev.join("pipe");
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
    // What is missing first is opened when it comes.
    let late = machine.0.dev.join("late");
    let (mut port, _failure) = port_at(&late, &machine);
    tokio::select! {
        biased;
        event = port.next() => panic!("{event:?}"),
        () = tokio::task::yield_now() => {}
    }
    assert!(matches!(port.check(), Outcome::Fails { .. }));
    fs::rename(&path, &late).unwrap();
    let mut other = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&late)
        .unwrap();
    for text in ["one", "two", "three"] {
        io::Write::write_all(&mut other, text.as_bytes()).unwrap();
        let event = tokio::time::timeout(DEADLINE, port.next()).await;
        assert_eq!(event, Ok(bytes(text)));
        assert!(matches!(port.check(), Outcome::Works(_)));
    }
}
