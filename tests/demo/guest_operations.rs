//! An operator at a node whose network is gone: guest operations, as govc sends them.

use std::path::Path;
use std::time::Instant;

use apid::Apid;
use vmx::VsockPolicy;
use vmx::guest_operations::{GuestClient, Refused};

use super::{DEADLINE, Folder, Node, Outcome, Show};

/// User `ops`, password `by-day` (`openssl passwd -6`).
const CONFIG: &str = "\
guest_operations:
  enabled: true
  users:
    - name: ops
      password_hash: $6$operators$n7su.i3caZRW0MglCGR0s3D1wCt468wi5P8CQO29oxe6P3Z8HLUNknNTHbWx6zn/2jfmB7tYBPdMwHdXJ2koq/
";

/// The chapter.
pub(super) fn operator(show: &Show, binary: &Path, folder: &Folder) -> Outcome {
    show.chapter("A node whose network is gone, and an operator with vCenter: guest operations");
    let storage = Apid::set_esxi_storage;
    let node = Node::start(show, binary, folder, VsockPolicy::served(), CONFIG, storage)?;
    let started = node.vmx.host(|host, _| host.started());
    node.sees("IP address 10.5.0.2", started, |v| {
        v.ip_address.as_deref() == Some("10.5.0.2")
    })?;
    show.step("Talos: eth0 loses its address; from here on nothing but vCenter reaches the node");
    node.talos.remove_address("eth0", "10.5.0.2/24");

    show.step("govc guest.ls -l ops:guessed");
    let guess = GuestClient::new(&node.vmx, "ops", "guessed").names("/talos");
    refused(show, "InvalidGuestLogin", guess, 3050)?;
    let ops = GuestClient::new(&node.vmx, "ops", "by-day");
    show.step("govc guest.ls /talos");
    show.seen(&ops.names("/talos")?.join(" "), None);
    for command in ["talosctl services", "talosctl get hostnamestatus -o yaml"] {
        show.step(&format!("govc guest.run '{command}'"));
        let started = Instant::now();
        let finished = ops.run_as_govc(command)?;
        let text = String::from_utf8_lossy(&finished.stdout);
        if finished.code != 0 {
            return Err(format!("{command} ended with {}", finished.code).into());
        }
        for line in text.lines().take(6) {
            show.seen(line, None);
        }
        show.seen("exit code 0", Some(started.elapsed()));
    }
    show.step("govc guest.download /talos/support.tgz");
    let started = Instant::now();
    let bundle = ops.download("/talos/support.tgz")?;
    if !bundle.starts_with(&[0x1f, 0x8b]) {
        return Err("the support bundle is no gzip".into());
    }
    show.seen(&format!("{} bytes", bundle.len()), Some(started.elapsed()));
    show.step("govc guest.upload, guest.run 'rm -rf /'");
    let upload = ops.initiate_upload("/etc/passwd", true);
    refused(show, "OperationDisabledByGuest", upload, 20005)?;
    let removal = ops.run_as_govc("rm -rf /")?;
    let words = String::from_utf8_lossy(&removal.stderr);
    if removal.code == 0 {
        return Err("rm ended well".into());
    }
    show.seen(
        &format!("exit code {}: {}", removal.code, words.trim()),
        None,
    );
    let exchange = node.vmx.request("ping", DEADLINE)?;
    if exchange.reply.as_deref() != Some(b"OK ") {
        return Err("the ping was not answered".into());
    }
    node.stop()
}

fn refused<T: std::fmt::Debug>(
    show: &Show,
    fault: &str,
    result: Result<T, Refused>,
    error: i64,
) -> Outcome {
    match result {
        Err(Refused::Vix(code)) if code == error => {
            show.seen(&format!("{fault} ({code})"), None);
            Ok(())
        }
        other => Err(format!("{other:?} instead of {fault}").into()),
    }
}
