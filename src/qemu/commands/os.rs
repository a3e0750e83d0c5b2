//! guest-get-host-name, guest-get-osinfo and guest-get-users.

use serde_json::{Value, json};

use super::NOT_AVAILABLE;
use super::known::Known;
use super::step::Step;
use crate::qemu::qmp::Error;

/// guest-get-host-name: the first label of the node's name.
pub(super) fn host_name(known: &Known) -> Result<Step, Error> {
    let name = known.facts.host_name.as_ref();
    let name = name.ok_or_else(|| Error::Generic("the host name is not known yet".to_owned()))?;
    Ok(Step::Reply(json!({"host-name": name.host})))
}

/// guest-get-osinfo: Talos' version, and the kernel, which a container shares.
pub(super) fn os_info(known: &Known) -> Result<Step, Error> {
    let talos = known.facts.talos.as_ref();
    let talos = talos.ok_or_else(|| Error::Generic(NOT_AVAILABLE.to_owned()))?;
    let mut info = json!({
        "id": "talos",
        "name": "Talos",
        "pretty-name": format!("Talos ({})", talos.tag),
        "version": talos.tag,
        "version-id": talos.tag,
    });
    let machine = &known.machine;
    for (member, value) in [
        ("kernel-release", &machine.kernel_release),
        ("kernel-version", &machine.kernel_version),
        ("machine", &machine.machine),
    ] {
        if let Some(info) = info.as_object_mut()
            && !value.is_empty()
        {
            info.insert(member.to_owned(), Value::from(value.as_str()));
        }
    }
    Ok(Step::Reply(info))
}

/// guest-get-users: nobody can log in.
pub(super) fn users(_: &Known) -> Result<Step, Error> {
    Ok(Step::Reply(json!([])))
}
