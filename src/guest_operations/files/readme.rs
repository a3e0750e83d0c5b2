//! `/talos/README.txt`.

/// Explains the tree to a first-time user.
pub(super) const TEXT: &str = "\
This is a Talos Linux node. It has no shell, and nothing here can be changed.
What you see is made up by talos-vmtoolsd, the guest agent, from Talos' API.

/talos/README.txt        this text
/talos/check.json        what works of the agent, and remedies for the rest
/talos/dmesg.log         the log of the kernel
/talos/services/ID.log   the log of each service
/talos/resources/*.yaml  the resources of Talos by their type: addresses,
                         routes, members, disks, services ... (no secrets)
/talos/support.tgz       all of these in one archive, made within 3 seconds;
                         MISSING.txt in it lists what Talos did not give in time
/tmp                     your own temporary files, in memory
/proc/PID/stdout         what your own programs have written (stderr too)
other folders            what the operator has chosen (node_files)

A log is what it was when the download began. A folder can be downloaded as
an archive: /talos/services?format=tgz, or with a slash at the end as plain tar.

Programs, by their name or with a path before it:
  talosctl help            all commands; among them
  talosctl dmesg           the log of the kernel
  talosctl services        the services and their health
  talosctl logs ID         the log of a service (--tail N: its last lines)
  talosctl get TYPE        resources (-o yaml: all of them; TYPE as addresses)
  talosctl processes       the processes of the node
  talosctl support         what is in support.tgz
  talos-vmtoolsd check     what works of the agent and what does not

With govc:
  govc guest.ls -vm NODE /talos
  govc guest.download -vm NODE /talos/support.tgz support.tgz
  govc guest.run -vm NODE talosctl services
";
