
use builtin;
use str;

set edit:completion:arg-completer[talos-vmtoolsd] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'talos-vmtoolsd'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'talos-vmtoolsd'= {
            cand --use-machined 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config'
            cand --talos-config 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]'
            cand --talos-node 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]'
            cand --machined-socket 'Path of machined''s socket [default: /system/run/machined/machine.sock]'
            cand --machined-role 'Role claimed on machined''s socket [default: os:operator]'
            cand --hypervisor 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]'
            cand --transport 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]'
            cand --low-bandwidth 'Never use the high-bandwidth backdoor'
            cand --skip-vmware-detection 'Try the backdoor even if the processor does not report VMware'
            cand --idle-off-vmware 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)'
            cand --qga-port 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]'
            cand --power-deadline 'How long a power call to Talos may take, retries included [default: 30s]'
            cand --force-shutdown 'Shut down without cordon and drain'
            cand --reboot-mode 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]'
            cand --power-busy 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]'
            cand --guest-host-name 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]'
            cand --scrub-guestinfo 'Blank machine configs that are exposed in guest variables, once the machine is ready'
            cand --guest-variables 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is'
            cand --guest-operations 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)'
            cand --sandbox 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]'
            cand --log-level 'Most detailed log level [default: info]'
            cand --log-format 'Form of the log [default: text]'
            cand --config 'Configuration file (YAML)'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand vmtoolsd 'Run the guest agent'
            cand guest-agent 'Run the guest agent'
            cand talosquery 'Show what the agent sees of Talos'
            cand rpc 'Send one RPCI command to the host and print its answer, as vmware-rpctool does'
            cand check 'Check hypervisor, transport, Talos API, role and SMBIOS UUID, and name a remedy for what does not work'
            cand version 'Print the version'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'talos-vmtoolsd;vmtoolsd'= {
            cand --use-machined 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config'
            cand --talos-config 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]'
            cand --talos-node 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]'
            cand --machined-socket 'Path of machined''s socket [default: /system/run/machined/machine.sock]'
            cand --machined-role 'Role claimed on machined''s socket [default: os:operator]'
            cand --hypervisor 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]'
            cand --transport 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]'
            cand --low-bandwidth 'Never use the high-bandwidth backdoor'
            cand --skip-vmware-detection 'Try the backdoor even if the processor does not report VMware'
            cand --idle-off-vmware 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)'
            cand --qga-port 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]'
            cand --power-deadline 'How long a power call to Talos may take, retries included [default: 30s]'
            cand --force-shutdown 'Shut down without cordon and drain'
            cand --reboot-mode 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]'
            cand --power-busy 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]'
            cand --guest-host-name 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]'
            cand --scrub-guestinfo 'Blank machine configs that are exposed in guest variables, once the machine is ready'
            cand --guest-variables 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is'
            cand --guest-operations 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)'
            cand --sandbox 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]'
            cand --log-level 'Most detailed log level [default: info]'
            cand --log-format 'Form of the log [default: text]'
            cand --config 'Configuration file (YAML)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'talos-vmtoolsd;guest-agent'= {
            cand --use-machined 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config'
            cand --talos-config 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]'
            cand --talos-node 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]'
            cand --machined-socket 'Path of machined''s socket [default: /system/run/machined/machine.sock]'
            cand --machined-role 'Role claimed on machined''s socket [default: os:operator]'
            cand --hypervisor 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]'
            cand --transport 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]'
            cand --low-bandwidth 'Never use the high-bandwidth backdoor'
            cand --skip-vmware-detection 'Try the backdoor even if the processor does not report VMware'
            cand --idle-off-vmware 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)'
            cand --qga-port 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]'
            cand --power-deadline 'How long a power call to Talos may take, retries included [default: 30s]'
            cand --force-shutdown 'Shut down without cordon and drain'
            cand --reboot-mode 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]'
            cand --power-busy 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]'
            cand --guest-host-name 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]'
            cand --scrub-guestinfo 'Blank machine configs that are exposed in guest variables, once the machine is ready'
            cand --guest-variables 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is'
            cand --guest-operations 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)'
            cand --sandbox 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]'
            cand --log-level 'Most detailed log level [default: info]'
            cand --log-format 'Form of the log [default: text]'
            cand --config 'Configuration file (YAML)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'talos-vmtoolsd;talosquery'= {
            cand --use-machined 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config'
            cand --talos-config 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]'
            cand --talos-node 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]'
            cand --machined-socket 'Path of machined''s socket [default: /system/run/machined/machine.sock]'
            cand --machined-role 'Role claimed on machined''s socket [default: os:operator]'
            cand --hypervisor 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]'
            cand --transport 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]'
            cand --low-bandwidth 'Never use the high-bandwidth backdoor'
            cand --skip-vmware-detection 'Try the backdoor even if the processor does not report VMware'
            cand --idle-off-vmware 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)'
            cand --qga-port 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]'
            cand --power-deadline 'How long a power call to Talos may take, retries included [default: 30s]'
            cand --force-shutdown 'Shut down without cordon and drain'
            cand --reboot-mode 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]'
            cand --power-busy 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]'
            cand --guest-host-name 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]'
            cand --scrub-guestinfo 'Blank machine configs that are exposed in guest variables, once the machine is ready'
            cand --guest-variables 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is'
            cand --guest-operations 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)'
            cand --sandbox 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]'
            cand --log-level 'Most detailed log level [default: info]'
            cand --log-format 'Form of the log [default: text]'
            cand --config 'Configuration file (YAML)'
            cand --json 'Print JSON instead of a table'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'talos-vmtoolsd;rpc'= {
            cand --use-machined 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config'
            cand --talos-config 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]'
            cand --talos-node 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]'
            cand --machined-socket 'Path of machined''s socket [default: /system/run/machined/machine.sock]'
            cand --machined-role 'Role claimed on machined''s socket [default: os:operator]'
            cand --hypervisor 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]'
            cand --transport 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]'
            cand --low-bandwidth 'Never use the high-bandwidth backdoor'
            cand --skip-vmware-detection 'Try the backdoor even if the processor does not report VMware'
            cand --idle-off-vmware 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)'
            cand --qga-port 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]'
            cand --power-deadline 'How long a power call to Talos may take, retries included [default: 30s]'
            cand --force-shutdown 'Shut down without cordon and drain'
            cand --reboot-mode 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]'
            cand --power-busy 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]'
            cand --guest-host-name 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]'
            cand --scrub-guestinfo 'Blank machine configs that are exposed in guest variables, once the machine is ready'
            cand --guest-variables 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is'
            cand --guest-operations 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)'
            cand --sandbox 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]'
            cand --log-level 'Most detailed log level [default: info]'
            cand --log-format 'Form of the log [default: text]'
            cand --config 'Configuration file (YAML)'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'talos-vmtoolsd;check'= {
            cand --use-machined 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config'
            cand --talos-config 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]'
            cand --talos-node 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]'
            cand --machined-socket 'Path of machined''s socket [default: /system/run/machined/machine.sock]'
            cand --machined-role 'Role claimed on machined''s socket [default: os:operator]'
            cand --hypervisor 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]'
            cand --transport 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]'
            cand --low-bandwidth 'Never use the high-bandwidth backdoor'
            cand --skip-vmware-detection 'Try the backdoor even if the processor does not report VMware'
            cand --idle-off-vmware 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)'
            cand --qga-port 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]'
            cand --power-deadline 'How long a power call to Talos may take, retries included [default: 30s]'
            cand --force-shutdown 'Shut down without cordon and drain'
            cand --reboot-mode 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]'
            cand --power-busy 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]'
            cand --guest-host-name 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]'
            cand --scrub-guestinfo 'Blank machine configs that are exposed in guest variables, once the machine is ready'
            cand --guest-variables 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is'
            cand --guest-operations 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)'
            cand --sandbox 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]'
            cand --log-level 'Most detailed log level [default: info]'
            cand --log-format 'Form of the log [default: text]'
            cand --config 'Configuration file (YAML)'
            cand --json 'Print JSON instead of lines'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'talos-vmtoolsd;version'= {
            cand --use-machined 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config'
            cand --talos-config 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]'
            cand --talos-node 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]'
            cand --machined-socket 'Path of machined''s socket [default: /system/run/machined/machine.sock]'
            cand --machined-role 'Role claimed on machined''s socket [default: os:operator]'
            cand --hypervisor 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]'
            cand --transport 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]'
            cand --low-bandwidth 'Never use the high-bandwidth backdoor'
            cand --skip-vmware-detection 'Try the backdoor even if the processor does not report VMware'
            cand --idle-off-vmware 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)'
            cand --qga-port 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]'
            cand --power-deadline 'How long a power call to Talos may take, retries included [default: 30s]'
            cand --force-shutdown 'Shut down without cordon and drain'
            cand --reboot-mode 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]'
            cand --power-busy 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]'
            cand --guest-host-name 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]'
            cand --scrub-guestinfo 'Blank machine configs that are exposed in guest variables, once the machine is ready'
            cand --guest-variables 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is'
            cand --guest-operations 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)'
            cand --sandbox 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]'
            cand --log-level 'Most detailed log level [default: info]'
            cand --log-format 'Form of the log [default: text]'
            cand --config 'Configuration file (YAML)'
            cand --short 'Print the number alone'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'talos-vmtoolsd;help'= {
            cand vmtoolsd 'Run the guest agent'
            cand talosquery 'Show what the agent sees of Talos'
            cand rpc 'Send one RPCI command to the host and print its answer, as vmware-rpctool does'
            cand check 'Check hypervisor, transport, Talos API, role and SMBIOS UUID, and name a remedy for what does not work'
            cand version 'Print the version'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'talos-vmtoolsd;help;vmtoolsd'= {
        }
        &'talos-vmtoolsd;help;talosquery'= {
        }
        &'talos-vmtoolsd;help;rpc'= {
        }
        &'talos-vmtoolsd;help;check'= {
        }
        &'talos-vmtoolsd;help;version'= {
        }
        &'talos-vmtoolsd;help;help'= {
        }
    ]
    $completions[$command]
}
