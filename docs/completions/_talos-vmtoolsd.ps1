
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'talos-vmtoolsd' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'talos-vmtoolsd'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'talos-vmtoolsd' {
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('vmtoolsd', 'vmtoolsd', [CompletionResultType]::ParameterValue, 'Run the guest agent')
            [CompletionResult]::new('guest-agent', 'guest-agent', [CompletionResultType]::ParameterValue, 'Run the guest agent')
            [CompletionResult]::new('talosquery', 'talosquery', [CompletionResultType]::ParameterValue, 'Show what the agent sees of Talos')
            [CompletionResult]::new('rpc', 'rpc', [CompletionResultType]::ParameterValue, 'Send one RPCI command to the host and print its answer, as vmware-rpctool does')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check hypervisor, transport, Talos API, role and SMBIOS UUID, and name a remedy for what does not work')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Print a token that lets a user of guest operations in for a short time; for the operator''s own machine')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'talos-vmtoolsd;vmtoolsd' {
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'talos-vmtoolsd;guest-agent' {
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'talos-vmtoolsd;talosquery' {
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON instead of a table')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'talos-vmtoolsd;rpc' {
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'talos-vmtoolsd;check' {
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON instead of lines')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'talos-vmtoolsd;token' {
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Private key that signs it, as `openssl genpkey -algorithm ed25519` writes it')
            [CompletionResult]::new('--user', '--user', [CompletionResultType]::ParameterName, 'User that it lets in')
            [CompletionResult]::new('--node', '--node', [CompletionResultType]::ParameterName, 'SMBIOS UUID of the machine that it is for, as talosquery and vCenter show it')
            [CompletionResult]::new('--ttl', '--ttl', [CompletionResultType]::ParameterName, 'How long it counts, at most 24h')
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('--public-key', '--public-key', [CompletionResultType]::ParameterName, 'Print the public key instead, for guest_operations.users')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'talos-vmtoolsd;version' {
            [CompletionResult]::new('--use-machined', '--use-machined', [CompletionResultType]::ParameterName, 'Reach Talos through machined''s socket, as an extension service does; wins over --talos-config')
            [CompletionResult]::new('--talos-config', '--talos-config', [CompletionResultType]::ParameterName, 'Reach Talos through apid with this talosconfig, which is read again when it changes [default: /var/run/secrets/talos.dev/config if it exists]')
            [CompletionResult]::new('--talos-node', '--talos-node', [CompletionResultType]::ParameterName, 'Node to talk to with --talos-config, and its endpoint: HOST or HOST:PORT (50000) [default: the talosconfig''s only node, else 127.0.0.1]')
            [CompletionResult]::new('--machined-socket', '--machined-socket', [CompletionResultType]::ParameterName, 'Path of machined''s socket [default: /system/run/machined/machine.sock]')
            [CompletionResult]::new('--machined-role', '--machined-role', [CompletionResultType]::ParameterName, 'Role claimed on machined''s socket [default: os:operator]')
            [CompletionResult]::new('--hypervisor', '--hypervisor', [CompletionResultType]::ParameterName, 'Whose guest agent this is; auto is VMware''s where the processor reports VMware, else QEMU''s where there is a virtio-serial device, else none [default: auto]')
            [CompletionResult]::new('--transport', '--transport', [CompletionResultType]::ParameterName, 'Way to the host; auto tries vsock, then the backdoor, in each direction [default: auto]')
            [CompletionResult]::new('--low-bandwidth', '--low-bandwidth', [CompletionResultType]::ParameterName, 'Never use the high-bandwidth backdoor')
            [CompletionResult]::new('--skip-vmware-detection', '--skip-vmware-detection', [CompletionResultType]::ParameterName, 'Try the backdoor even if the processor does not report VMware')
            [CompletionResult]::new('--idle-off-vmware', '--idle-off-vmware', [CompletionResultType]::ParameterName, 'Off VMware, stay running idle instead of exiting (for a DaemonSet, which restarts what exits)')
            [CompletionResult]::new('--qga-port', '--qga-port', [CompletionResultType]::ParameterName, 'Port of the QEMU guest agent, for a pod that has it as a device [default: the port org.qemu.guest_agent.0, found by its name]')
            [CompletionResult]::new('--power-deadline', '--power-deadline', [CompletionResultType]::ParameterName, 'How long a power call to Talos may take, retries included [default: 30s]')
            [CompletionResult]::new('--force-shutdown', '--force-shutdown', [CompletionResultType]::ParameterName, 'Shut down without cordon and drain')
            [CompletionResult]::new('--reboot-mode', '--reboot-mode', [CompletionResultType]::ParameterName, 'How Talos reboots: its own way, through the firmware, or without the graceful phases (from Talos 1.12) [default: default]')
            [CompletionResult]::new('--power-busy', '--power-busy', [CompletionResultType]::ParameterName, 'Whether Shut Down and Restart are refused while the machine installs, upgrades or resets itself, or passed on to Talos, which may interrupt that [default: refuse]')
            [CompletionResult]::new('--guest-host-name', '--guest-host-name', [CompletionResultType]::ParameterName, 'Host name that vCenter shows: that of the Kubernetes node, by which the vSphere cloud provider finds the machine, or the host name with its domain [default: node]')
            [CompletionResult]::new('--scrub-guestinfo', '--scrub-guestinfo', [CompletionResultType]::ParameterName, 'Blank machine configs that are exposed in guest variables, once the machine is ready')
            [CompletionResult]::new('--guest-variables', '--guest-variables', [CompletionResultType]::ParameterName, 'Publish guest variables (guestinfo.vmtools.*); false leaves the virtual machine''s configuration as it is')
            [CompletionResult]::new('--guest-operations', '--guest-operations', [CompletionResultType]::ParameterName, 'Let the users of guest_operations.users ask this node what is wrong, through vCenter (VMware only)')
            [CompletionResult]::new('--quiesce', '--quiesce', [CompletionResultType]::ParameterName, 'What is done for a quiesced snapshot: nothing, so that the host''s wish is refused; what is written so far goes to the disks; or file systems are frozen (as a system extension only) [default: off]')
            [CompletionResult]::new('--quiesce-max-freeze', '--quiesce-max-freeze', [CompletionResultType]::ParameterName, 'How long file systems stay frozen at most, from 1s to 60s; a snapshot that takes longer fails [default: 8s]')
            [CompletionResult]::new('--quiesce-etcd', '--quiesce-etcd', [CompletionResultType]::ParameterName, 'Whether a freeze is refused, or begun with a warning, on a control plane without which etcd has no quorum because a member is missing [default: refuse]')
            [CompletionResult]::new('--sandbox', '--sandbox', [CompletionResultType]::ParameterName, 'Give up all rights that the agent does not need; warn denies nothing and logs what would be denied [default: enforce]')
            [CompletionResult]::new('--log-level', '--log-level', [CompletionResultType]::ParameterName, 'Most detailed log level [default: info]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Form of the log [default: text]')
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'Configuration file (YAML)')
            [CompletionResult]::new('--short', '--short', [CompletionResultType]::ParameterName, 'Print the number alone')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'talos-vmtoolsd;help' {
            [CompletionResult]::new('vmtoolsd', 'vmtoolsd', [CompletionResultType]::ParameterValue, 'Run the guest agent')
            [CompletionResult]::new('talosquery', 'talosquery', [CompletionResultType]::ParameterValue, 'Show what the agent sees of Talos')
            [CompletionResult]::new('rpc', 'rpc', [CompletionResultType]::ParameterValue, 'Send one RPCI command to the host and print its answer, as vmware-rpctool does')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check hypervisor, transport, Talos API, role and SMBIOS UUID, and name a remedy for what does not work')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Print a token that lets a user of guest operations in for a short time; for the operator''s own machine')
            [CompletionResult]::new('version', 'version', [CompletionResultType]::ParameterValue, 'Print the version')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'talos-vmtoolsd;help;vmtoolsd' {
            break
        }
        'talos-vmtoolsd;help;talosquery' {
            break
        }
        'talos-vmtoolsd;help;rpc' {
            break
        }
        'talos-vmtoolsd;help;check' {
            break
        }
        'talos-vmtoolsd;help;token' {
            break
        }
        'talos-vmtoolsd;help;version' {
            break
        }
        'talos-vmtoolsd;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
