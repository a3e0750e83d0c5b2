//! `apid`: the embedded Talos API as a program, to try things by hand.
//!
//! ```text
//! apid socket PATH [SCENE]         serve as machined on a unix socket
//! apid tls TALOSCONFIG [SCENE]     serve as apid on a free port and write the talosconfig
//! ```
//!
//! Scenes: single-nic (default), bond-and-vlan, control-plane, in-container. Every call is printed as it
//! arrives; every line on the standard input is a command, and its end is the end of the program.

use std::error::Error;
use std::io::{self, BufRead};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use apid::{Apid, PowerBehaviour, TlsOptions, scene};

type Scene = fn(&Apid);

const SCENES: [(&str, Scene); 4] = [
    ("single-nic", scene::single_nic),
    ("bond-and-vlan", scene::bond_and_vlan),
    ("control-plane", scene::control_plane),
    ("in-container", scene::in_container),
];

const USAGE: &str = "usage: apid socket PATH [SCENE] | apid tls TALOSCONFIG [SCENE]
scenes: single-nic, bond-and-vlan, control-plane, in-container";

const COMMANDS: &str =
    "commands: hostname HOST [DOMAIN] | address LINK PREFIX | no-address LINK PREFIX
  node-address ID PREFIX... | vip LINK IP | stop | restart | drop | hang | resume | error-watches
  power accept|locked|fail|die|container";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("apid: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let (apid, scene) = match arguments {
        ["socket", path, scene @ ..] => (Apid::machined(path)?, scene),
        ["tls", path, scene @ ..] => {
            let apid = Apid::tls(TlsOptions::default())?;
            std::fs::write(path, apid.talosconfig())?;
            (apid, scene)
        }
        _ => return Err(USAGE.into()),
    };
    let wanted = scene.first().copied().unwrap_or("single-nic");
    let scene = SCENES.iter().find(|(name, _)| *name == wanted);
    let (_, scene) = scene.ok_or(USAGE)?;
    scene(&apid);
    eprintln!("{COMMANDS}");

    let watched = apid.clone();
    thread::spawn(move || print_calls(&watched));
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        command(&apid, &words)?;
    }
    apid.stop();
    Ok(())
}

fn command(apid: &Apid, words: &[&str]) -> io::Result<()> {
    match words {
        [] => {}
        ["hostname", host] => apid.set_hostname(host, ""),
        ["hostname", host, domain] => apid.set_hostname(host, domain),
        ["address", link, prefix] => apid.set_address(link, prefix),
        ["no-address", link, prefix] => apid.remove_address(link, prefix),
        ["node-address", id, prefixes @ ..] => apid.set_node_address(id, prefixes),
        ["vip", link, ip] => apid.set_vip(link, ip),
        ["stop"] => apid.stop(),
        ["restart"] => apid.restart()?,
        ["drop"] => apid.drop_connections(),
        ["hang"] => apid.hang(),
        ["resume"] => apid.resume(),
        ["error-watches"] => apid.error_watches(),
        ["power", "accept"] => apid.set_power(PowerBehaviour::Accept),
        ["power", "locked"] => apid.set_power(PowerBehaviour::AcceptLocked),
        ["power", "fail"] => apid.set_power(PowerBehaviour::AcceptFail),
        ["power", "die"] => apid.set_power(PowerBehaviour::AcceptThenDie),
        ["power", "container"] => apid.set_power(PowerBehaviour::ContainerMode),
        _ => eprintln!("{COMMANDS}"),
    }
    Ok(())
}

/// Prints every call once it is answered, in order of arrival.
fn print_calls(apid: &Apid) {
    let mut printed = 0;
    loop {
        let next = apid.wait_for(Duration::from_secs(3600), |apid| {
            let call = apid.calls().into_iter().nth(printed)?;
            call.answer.map(|answer| (call, answer))
        });
        if let Some((call, answer)) = next {
            let roles = call.roles.join(",");
            println!("{} {} [{roles}] {answer:?}", call.path, call.request);
            printed += 1;
        }
    }
}
