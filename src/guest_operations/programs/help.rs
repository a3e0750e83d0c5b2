//! What `talosctl help` says.

/// All of it.
pub(super) const HELP: &str = "\
talosctl on this node, by guest operations: commands that read, asked of Talos by the agent.
There is no shell; output can be redirected (>, 1>, 2>, 2>&1) to temporary files of your own.

  talosctl version                           version of Talos
  talosctl services                          services and their health
  talosctl service ID                        one of them, with its events
  talosctl logs ID [--tail N] [-f]           log of a service
  talosctl dmesg [-f]                        log of the kernel
  talosctl get TYPE [ID] [-o yaml|table]     resources, never sensitive ones
  talosctl events                            events of the past
  talosctl processes                         processes
  talosctl memory                            memory
  talosctl mounts                            file systems
  talosctl netstat                           connections
  talosctl containers                        containers, of Talos and of Kubernetes
  talosctl stats                             what containers use
  talosctl etcd status                       etcd on this node
  talosctl etcd members                      members of etcd
  talosctl list [-l] [PATH]                  names in a folder; /talos is worth a look
  talosctl read PATH                         a file
  talosctl support                           all of /talos, as a tar.gz
  talosctl help                              this text

  talos-vmtoolsd check                       what works between host, agent and Talos

With -f a command goes on until it is terminated. Output is bounded to 4 MiB.
";
