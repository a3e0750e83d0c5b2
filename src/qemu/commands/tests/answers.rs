//! What each command returns, as values of JSON.

use super::*;
use crate::facts::{
    DiskCounters, KernelPart, MemoryBlock, MemoryBlocks, Processor, ProcessorTimes, Reading,
};

/// The reply to a command that reads something of the kernel.
fn read(bench: &mut Bench, command: &str, part: KernelPart, reading: &Reading) -> Value {
    bench.send(&json!({"execute": command}).to_string());
    assert_eq!(bench.orders(), [Order::Read(part)]);
    bench.agent.handle_reading(reading, bench.now);
    let [reply] = &bench.replies()[..] else {
        panic!("{command}");
    };
    reply.clone()
}

#[test]
fn what_is_always_known_is_answered_as_qemu_ga_does() {
    let mut bench = Bench::of(&node());
    for (command, expected) in [
        ("guest-ping", json!({})),
        (
            "guest-get-host-name",
            json!({"host-name": "talos-worker-1"}),
        ),
        (
            "guest-get-osinfo",
            json!({
                "id": "talos",
                "name": "Talos",
                "pretty-name": "Talos (v1.13.0)",
                "version": "v1.13.0",
                "version-id": "v1.13.0",
                "kernel-release": "6.18.1-talos",
                "kernel-version": "#1 SMP Talos",
                "machine": "x86_64",
            }),
        ),
        ("guest-get-timezone", json!({"zone": "UTC", "offset": 0})),
        ("guest-get-users", json!([])),
        ("guest-fsfreeze-status", json!("thawed")),
        ("guest-fsfreeze-freeze", json!(0)),
        ("guest-fsfreeze-freeze-list", json!(0)),
        ("guest-fsfreeze-thaw", json!(0)),
    ] {
        assert_eq!(bench.get(command), expected, "{command}");
    }
    assert_eq!(
        bench.ask(
            r#"{"execute": "guest-fsfreeze-freeze-list", "arguments": {"mountpoints": ["/"]}}"#
        ),
        json!({"return": 0})
    );
    assert!(bench.orders().is_empty());
}

#[test]
fn sync_says_the_number_back_and_delimited_behind_its_byte() {
    let mut bench = Bench::of(&node());
    for id in ["17", "-9223372036854775808", "9223372036854775807"] {
        let request = |command: &str| {
            format!("{{\"execute\": \"{command}\", \"arguments\": {{\"id\": {id}}}}}")
        };
        bench.send(&request("guest-sync"));
        let line = bench.agent.poll_reply().unwrap();
        assert_eq!(line, format!("{{\"return\": {id}}}\n").into_bytes());
        bench.send(&request("guest-sync-delimited"));
        let line = bench.agent.poll_reply().unwrap();
        let expected = format!("{{\"return\": {id}}}\n");
        assert_eq!(line, [&[0xFF], expected.as_bytes()].concat());
    }
}

#[test]
fn arguments_are_taken_strictly() {
    let mut bench = Bench::of(&node());
    let wrong = "Invalid parameter type for";
    for (request, expected) in [
        (
            json!({"execute": "guest-sync"}),
            "Parameter 'id' is missing".to_owned(),
        ),
        (
            json!({"execute": "guest-sync", "arguments": {"id": "1"}}),
            format!("{wrong} 'id', expected: integer"),
        ),
        (
            json!({"execute": "guest-sync", "arguments": {"id": 1.5}}),
            format!("{wrong} 'id', expected: integer"),
        ),
        (
            json!({"execute": "guest-sync", "arguments": {"id": u64::MAX}}),
            format!("{wrong} 'id', expected: integer"),
        ),
        (
            json!({"execute": "guest-sync", "arguments": {"id": 1, "z": 2}}),
            "Parameter 'z' is unexpected".to_owned(),
        ),
        (
            json!({"execute": "guest-ping", "arguments": {"z": 2}}),
            "Parameter 'z' is unexpected".to_owned(),
        ),
        (
            json!({"execute": "guest-shutdown", "arguments": {"mode": 1}}),
            format!("{wrong} 'mode', expected: string"),
        ),
        (
            json!({"execute": "guest-shutdown", "arguments": {"mode": "off"}}),
            "mode is invalid (valid values are: halt|powerdown|reboot".to_owned(),
        ),
        (
            json!({"execute": "guest-fsfreeze-freeze-list", "arguments": {"mountpoints": ["/", 1]}}),
            format!("{wrong} 'mountpoints[1]', expected: string"),
        ),
    ] {
        assert_eq!(
            bench.ask(&request.to_string()),
            generic(&expected),
            "{request}"
        );
    }
    assert!(bench.orders().is_empty());
}

#[test]
fn the_list_enables_what_hosts_need_and_nothing_that_writes() {
    let mut bench = Bench::of(&node());
    let info = bench.get("guest-info");
    assert!(info["version"].is_string());
    let list = info["supported_commands"].as_array().unwrap().clone();
    let row = |name: &str| {
        let row = list.iter().find(|row| row["name"] == name);
        row.unwrap_or_else(|| panic!("{name} is not listed"))
    };
    for name in ::qemu::DEMANDED {
        assert_eq!(row(name)["enabled"], true, "{name}");
    }
    for start in ["exec", "file", "set", "ssh", "suspend", "fstrim"] {
        let start = format!("guest-{start}");
        let mut found = 0;
        for row in &list {
            let name = row["name"].as_str().unwrap();
            if name.starts_with(&start) {
                found += 1;
                assert_eq!(row["enabled"], false, "{name}");
                let text = format!("Command {name} has been disabled: the command is not allowed");
                let reply = bench.ask(&json!({"execute": name}).to_string());
                assert_eq!(reply, error("CommandNotFound", &text));
            }
        }
        assert!(found > 0, "{start}");
    }
    let silent: Vec<_> = list
        .iter()
        .filter(|row| row["success-response"] == false)
        .map(|row| row["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        silent,
        [
            "guest-shutdown",
            "guest-suspend-disk",
            "guest-suspend-ram",
            "guest-suspend-hybrid"
        ]
    );
    assert!(list.iter().all(|row| row["name"] != "guest-get-devices"));
    let reply = bench.ask(r#"{"execute": "guest-nope"}"#);
    let text = "The command guest-nope has not been found";
    assert_eq!(reply, error("CommandNotFound", text));
}

#[test]
fn what_the_kernel_says_is_answered_as_qemu_ga_does() {
    let bench = &mut Bench::of(&node());
    let time = Reading::Time(Duration::from_nanos(1_795_268_028_421_674_000));
    let reply = read(bench, "guest-get-time", KernelPart::Time, &time);
    assert_eq!(reply, json!({"return": 1_795_268_028_421_674_000_u64}));

    let load = Reading::LoadAverage(Some([0.42, 0.3, 0.0]));
    let reply = read(bench, "guest-get-load", KernelPart::LoadAverage, &load);
    let expected = json!({"return": {"load1m": 0.42, "load5m": 0.3, "load15m": 0.0}});
    assert_eq!(reply, expected);

    let processors = Reading::Processors(vec![Processor {
        id: 0,
        online: true,
        can_offline: false,
    }]);
    let reply = read(
        bench,
        "guest-get-vcpus",
        KernelPart::Processors,
        &processors,
    );
    let expected = json!([{"online": true, "can-offline": false, "logical-id": 0}]);
    assert_eq!(reply["return"], expected);

    let times = Reading::ProcessorTimes(vec![ProcessorTimes {
        id: 0,
        basic: [120, 0, 1580, 9],
        further: [Some(1), Some(2), Some(3), Some(4), Some(5), None],
    }]);
    let reply = read(
        bench,
        "guest-get-cpustats",
        KernelPart::ProcessorTimes,
        &times,
    );
    let expected = json!([{"type": "linux", "cpu": 0, "user": 120, "nice": 0, "system": 1580, "idle": 9, "iowait": 1,
        "irq": 2, "softirq": 3, "steal": 4, "guest": 5}]);
    assert_eq!(reply["return"], expected);

    let disks = Reading::DiskCounters(vec![DiskCounters {
        name: "vda".into(),
        major: 254,
        minor: 0,
        fields: (1..=11).collect(),
    }]);
    let reply = read(
        bench,
        "guest-get-diskstats",
        KernelPart::DiskCounters,
        &disks,
    );
    let expected = json!([{"name": "vda", "major": 254, "minor": 0, "stats": {"read-ios": 1, "read-merges": 2,
        "read-sectors": 3, "read-ticks": 4, "write-ios": 5, "write-merges": 6, "write-sectors": 7, "write-ticks": 8,
        "ios-pgr": 9, "total-ticks": 10, "weight-ticks": 11}}]);
    assert_eq!(reply["return"], expected);

    let blocks = Reading::MemoryBlocks(Some(MemoryBlocks {
        block_bytes: 128 << 20,
        blocks: vec![MemoryBlock {
            index: 3,
            online: true,
            can_offline: Some(false),
        }],
    }));
    let reply = read(
        bench,
        "guest-get-memory-blocks",
        KernelPart::MemoryBlocks,
        &blocks,
    );
    let expected = json!([{"phys-index": 3, "online": true, "can-offline": false}]);
    assert_eq!(reply["return"], expected);
    let reply = read(
        bench,
        "guest-get-memory-block-info",
        KernelPart::MemoryBlocks,
        &blocks,
    );
    assert_eq!(reply["return"], json!({"size": 134_217_728}));
    let none = Reading::MemoryBlocks(None);
    let reply = read(
        bench,
        "guest-get-memory-block-info",
        KernelPart::MemoryBlocks,
        &none,
    );
    assert_eq!(reply, generic("the kernel does not show this"));
}

#[test]
fn the_id_of_a_request_comes_back_with_a_late_answer_too() {
    let mut bench = Bench::of(&node());
    bench.send(r#"{"execute": "guest-get-time", "id": {"a": [1]}}"#);
    bench.orders();
    bench
        .agent
        .handle_reading(&Reading::Time(seconds(1)), bench.now);
    let expected = json!({"return": 1_000_000_000, "id": {"a": [1]}});
    assert_eq!(bench.replies(), [expected]);
}

#[test]
fn ping_is_answered_only_while_talos_would_shut_down_and_sync_and_info_always() {
    let mut bench = Bench::of(&node());
    let why = "Talos API is not available: connection refused";
    let obstacle = Obstacle::Unreachable("connection refused".into());
    bench.agent.handle_power_way(Err(obstacle), bench.now);
    assert_eq!(bench.ask(r#"{"execute": "guest-ping"}"#), generic(why));
    bench.get("guest-info");
    bench.get("guest-network-get-route");
    let sync = r#"{"execute": "guest-sync", "arguments": {"id": 4}}"#;
    assert_eq!(bench.ask(sync), json!({"return": 4}));
    let why = "os:reader: may neither reboot nor shut down";
    let obstacle = Obstacle::Refused(why.into());
    bench.agent.handle_power_way(Err(obstacle), bench.now);
    assert_eq!(bench.ask(r#"{"execute": "guest-ping"}"#), generic(why));
    bench.agent.handle_power_way(Ok(()), bench.now);
    assert_eq!(bench.get("guest-ping"), json!({}));
}
