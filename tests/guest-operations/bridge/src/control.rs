//! What can be done to a guest and its Talos, and seen of them, besides requests.

use std::fmt::Write;

use apid::{Apid, Method};
use nix::sys::signal::Signal;
use vmx::Stream;

use crate::guest::Guest;
use crate::{Outcome, SOON};

/// Does what a line says.
///
/// ```text
/// talos stop|restart|hang|resume|drop    the API of the node, at machined's socket
/// talos lets-read                        os:operator may read files, as os:admin always may
/// apid stop|restart|drop                 the same at apid's port
/// calls                                  what the agent called: method, roles, request, a line each
/// apid-calls                             the same at apid's port
/// apid-connections                       how many connections apid has had
/// client ca|crt|key                      a client's certificate for apid, as PEM
/// reload                                 SIGHUP, until the log says what came of it
/// log                                    the agent's log
/// violations                             what the guest did against the protocol
/// capability                             what the host knows of tools.capability.hgfs_server
/// green                                  waits for a green heartbeat
/// silence                                the longest time without a sign of life, in milliseconds
/// ```
pub(crate) fn control(guest: &Guest, line: &str) -> Outcome<String> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        ["talos", "lets-read"] => {
            let roles = ["os:admin", "os:operator"];
            talos(guest)?.machined.allow(Method::Read, &roles);
            Ok(String::new())
        }
        ["talos", what] => api(&talos(guest)?.machined, what),
        ["apid", what] => api(&talos(guest)?.apid, what),
        ["calls"] => Ok(calls(&talos(guest)?.machined)),
        ["apid-calls"] => Ok(calls(&talos(guest)?.apid)),
        ["apid-connections"] => Ok(talos(guest)?.apid.connections_accepted().to_string()),
        ["client", what] => {
            let [ca, crt, key] = talos(guest)?.apid.client_pem();
            match what {
                "ca" => Ok(ca),
                "crt" => Ok(crt),
                "key" => Ok(key),
                _ => Err("client ca|crt|key".into()),
            }
        }
        ["reload"] => reload(guest),
        ["log"] => Ok(guest.vmx.output(Stream::Stderr).join("\n")),
        ["violations"] => Ok(guest.vmx.violations().join("\n")),
        ["capability"] => {
            let view = guest.vmx.vcenter();
            let value = view.capabilities.get("hgfs_server");
            Ok(value.map(ToString::to_string).unwrap_or_default())
        }
        ["green"] => {
            guest.vmx.wait_green(SOON)?;
            Ok(String::new())
        }
        ["silence"] => {
            let silence = guest.vmx.host(|host, now| host.longest_silence(now));
            Ok(silence.as_millis().to_string())
        }
        _ => Err(format!("there is no {line:?}").into()),
    }
}

fn talos(guest: &Guest) -> Outcome<&crate::guest::Talos> {
    guest
        .talos
        .as_ref()
        .ok_or_else(|| "this guest has no Talos".into())
}

fn api(api: &Apid, what: &str) -> Outcome<String> {
    match what {
        "stop" => api.stop(),
        "restart" => api.restart()?,
        "hang" => api.hang(),
        "resume" => api.resume(),
        "drop" => api.drop_connections(),
        _ => return Err("stop, restart, hang, resume or drop".into()),
    }
    Ok(String::new())
}

fn calls(api: &Apid) -> String {
    let mut text = String::new();
    for call in api.calls() {
        // Writing to a string does not fail.
        let _written = writeln!(
            text,
            "{} {} {}",
            call.path,
            call.roles.join(","),
            call.request
        );
    }
    text
}

/// Sends SIGHUP and waits for what the agent says about it.
fn reload(guest: &Guest) -> Outcome<String> {
    let seen = guest.vmx.output(Stream::Stderr).len();
    guest.vmx.signal(Signal::SIGHUP);
    let line = guest
        .vmx
        .wait_for("the end of the reload", SOON, |host, _| {
            let log = host.output(Stream::Stderr);
            let fresh = log.get(seen..).unwrap_or_default();
            fresh
                .iter()
                .find(|line| line.contains("configuration"))
                .cloned()
        })?;
    Ok(line)
}
