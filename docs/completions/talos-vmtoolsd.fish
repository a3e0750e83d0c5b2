# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_talos_vmtoolsd_global_optspecs
    string join \n use-machined= talos-config= talos-node= machined-socket= machined-role= hypervisor= transport= low-bandwidth= skip-vmware-detection= idle-off-vmware= qga-port= power-deadline= force-shutdown= reboot-mode= power-busy= power-host-policy= drain-deadline= shutdown-budget= escalate-after= etcd-guard= etcd-hold= vmotion-notify= vmotion-period= ha-monitor= ha-unready-for= ha-silent-for= ha-settle= guest-host-name= scrub-guestinfo= guest-variables= inventory-apps= inventory-containers= guest-operations= quiesce= quiesce-max-freeze= quiesce-etcd= sandbox= log-level= log-format= config= h/help V/version
end

function __fish_talos_vmtoolsd_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_talos_vmtoolsd_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_talos_vmtoolsd_using_subcommand
    set -l cmd (__fish_talos_vmtoolsd_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -s V -l version -d 'Print version'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "vmtoolsd" -d 'Run the guest agent'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "guest-agent" -d 'Run the guest agent'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "talosquery" -d 'Show what the agent sees of Talos'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "rpc" -d 'Send one RPCI command to the host and print its answer, as vmware-rpctool does'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "check" -d 'Check hypervisor, transport, Talos API, role and SMBIOS UUID, and name a remedy for what does not work'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "token" -d 'Print a token that lets a user of guest operations in for a short time; for the operator\'s own machine'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "version" -d 'Print the version'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand vmtoolsd" -s h -l help -d 'Print help'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand guest-agent" -s h -l help -d 'Print help'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -l json -d 'Print JSON instead of a table'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand talosquery" -s h -l help -d 'Print help'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand rpc" -s h -l help -d 'Print help'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -l json -d 'Print JSON instead of lines'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand check" -s h -l help -d 'Print help'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l key -d 'Private key that signs it, as `openssl genpkey -algorithm ed25519` writes it' -r -F
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l user -d 'User that it lets in' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l node -d 'SMBIOS UUID of the machine that it is for, as talosquery and vCenter show it' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l ttl -d 'How long it counts, at most 24h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -l public-key -d 'Print the public key instead, for guest_operations.users'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand token" -s h -l help -d 'Print help'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l use-machined -d 'Reach Talos through machined\'s socket, as an extension service does; wins over --talos-config' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l talos-config -d 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l talos-node -d 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig\'s only node, else 127.0.0.1]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l machined-socket -d 'Path of machined\'s socket [default: /system/run/machined/machine.sock]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l machined-role -d 'Role claimed on machined\'s socket [default: os:operator]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l hypervisor -d 'Whose guest agent this is; auto is VMware\'s where the processor reports VMware, else QEMU\'s where there is a virtio-serial device, else none [default: auto]' -r -f -a "auto\t''
vmware\t''
qemu\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l transport -d 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]' -r -f -a "auto\t''
vsock\t''
backdoor\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l low-bandwidth -d 'Never use the high-bandwidth backdoor' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l skip-vmware-detection -d 'Try the backdoor even if the processor does not report VMware' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l idle-off-vmware -d 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l qga-port -d 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l power-deadline -d 'How long a power call to Talos may take, retries included [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l force-shutdown -d 'Shut down without cordon and drain' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l reboot-mode -d 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]' -r -f -a "default\t''
powercycle\t''
force\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l power-busy -d 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]' -r -f -a "refuse\t''
pass\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l power-host-policy -d 'Read the guest variable guestinfo.talos-vmtoolsd.shutdown, set on the virtual machine, before each power operation: force skips the drain and what power.etcd.guard would do' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l drain-deadline -d 'How long Talos may drain the node before Shut Down goes on without: 0s not at all, as --force-shutdown; talos as long as Talos wants, which is five minutes [default: 60s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l shutdown-budget -d 'How long holding and draining may take together before Shut Down goes on without either [default: 100s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l escalate-after -d 'How long after the first press of a button another press means now: no holding, no draining [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l etcd-guard -d 'What is done about Shut Down and Restart of a control plane without which etcd has no quorum: nothing, a warning, hold them until the others are enough (see power.etcd.hold), or refuse them [default: warn]' -r -f -a "off\t''
warn\t''
hold\t''
refuse\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l etcd-hold -d 'How long --etcd-guard=hold holds an operation at most [default: 30s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l vmotion-notify -d 'Have vSphere 8 say before it migrates the virtual machine, whose option vmOpNotificationToAppEnabled must be set' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l vmotion-period -d 'How often the host is asked whether a migration begins, from 500ms to 30s; each migration waits for it [default: 2s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l ha-monitor -d 'What vSphere HA application monitoring takes for alive, so that it resets the virtual machine otherwise: nothing is monitored; Talos answers and the machine boots or runs; or it is ready, too [default: off]' -r -f -a "off\t''
node\t''
ready\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l ha-unready-for -d 'How long the machine may be unready before --ha-monitor=ready takes it for dead, at least 2m [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l ha-silent-for -d 'How long Talos may be silent before --ha-monitor takes the machine for dead, at least 1m [default: 5m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l ha-settle -d 'How long after the agent\'s start --ha-monitor monitors nothing [default: 10m]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l guest-host-name -d 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]' -r -f -a "node\t''
fqdn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l scrub-guestinfo -d 'Blank machine configs that are exposed in guest variables, once the machine is ready' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l guest-variables -d 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine\'s configuration as it is' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l inventory-apps -d 'List Talos, Kubernetes, containerd and Talos\' services with their versions for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l inventory-containers -d 'List the images of running containers for the host, every 6 h' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l guest-operations -d 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l quiesce -d 'What is done for a quiesced snapshot: nothing, so that the host\'s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]' -r -f -a "off\t''
sync\t''
freeze\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l quiesce-max-freeze -d 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l quiesce-etcd -d 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]' -r -f -a "refuse\t''
warn\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l sandbox -d 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]' -r -f -a "enforce\t''
warn\t''
off\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l log-level -d 'Most detailed log level [default: info]' -r -f -a "error\t''
warn\t''
warning\t''
info\t''
debug\t''
trace\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l log-format -d 'Form of the log [default: text]' -r -f -a "text\t''
json\t''"
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l config -d 'Configuration file (YAML)' -r
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -l short -d 'Print the number alone'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand version" -s h -l help -d 'Print help'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand help; and not __fish_seen_subcommand_from vmtoolsd talosquery rpc check token version help" -f -a "vmtoolsd" -d 'Run the guest agent'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand help; and not __fish_seen_subcommand_from vmtoolsd talosquery rpc check token version help" -f -a "talosquery" -d 'Show what the agent sees of Talos'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand help; and not __fish_seen_subcommand_from vmtoolsd talosquery rpc check token version help" -f -a "rpc" -d 'Send one RPCI command to the host and print its answer, as vmware-rpctool does'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand help; and not __fish_seen_subcommand_from vmtoolsd talosquery rpc check token version help" -f -a "check" -d 'Check hypervisor, transport, Talos API, role and SMBIOS UUID, and name a remedy for what does not work'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand help; and not __fish_seen_subcommand_from vmtoolsd talosquery rpc check token version help" -f -a "token" -d 'Print a token that lets a user of guest operations in for a short time; for the operator\'s own machine'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand help; and not __fish_seen_subcommand_from vmtoolsd talosquery rpc check token version help" -f -a "version" -d 'Print the version'
complete -c talos-vmtoolsd -n "__fish_talos_vmtoolsd_using_subcommand help; and not __fish_seen_subcommand_from vmtoolsd talosquery rpc check token version help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
