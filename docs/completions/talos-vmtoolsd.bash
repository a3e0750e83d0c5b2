_talos__vmtoolsd() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="talos__vmtoolsd"
                ;;
            talos__vmtoolsd,check)
                cmd="talos__vmtoolsd__subcmd__check"
                ;;
            talos__vmtoolsd,guest-agent)
                cmd="talos__vmtoolsd__subcmd__vmtoolsd"
                ;;
            talos__vmtoolsd,help)
                cmd="talos__vmtoolsd__subcmd__help"
                ;;
            talos__vmtoolsd,rpc)
                cmd="talos__vmtoolsd__subcmd__rpc"
                ;;
            talos__vmtoolsd,talosquery)
                cmd="talos__vmtoolsd__subcmd__talosquery"
                ;;
            talos__vmtoolsd,token)
                cmd="talos__vmtoolsd__subcmd__token"
                ;;
            talos__vmtoolsd,version)
                cmd="talos__vmtoolsd__subcmd__version"
                ;;
            talos__vmtoolsd,vmtoolsd)
                cmd="talos__vmtoolsd__subcmd__vmtoolsd"
                ;;
            talos__vmtoolsd__subcmd__help,check)
                cmd="talos__vmtoolsd__subcmd__help__subcmd__check"
                ;;
            talos__vmtoolsd__subcmd__help,help)
                cmd="talos__vmtoolsd__subcmd__help__subcmd__help"
                ;;
            talos__vmtoolsd__subcmd__help,rpc)
                cmd="talos__vmtoolsd__subcmd__help__subcmd__rpc"
                ;;
            talos__vmtoolsd__subcmd__help,talosquery)
                cmd="talos__vmtoolsd__subcmd__help__subcmd__talosquery"
                ;;
            talos__vmtoolsd__subcmd__help,token)
                cmd="talos__vmtoolsd__subcmd__help__subcmd__token"
                ;;
            talos__vmtoolsd__subcmd__help,version)
                cmd="talos__vmtoolsd__subcmd__help__subcmd__version"
                ;;
            talos__vmtoolsd__subcmd__help,vmtoolsd)
                cmd="talos__vmtoolsd__subcmd__help__subcmd__vmtoolsd"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        talos__vmtoolsd)
            opts="-h -V --use-machined --talos-config --talos-node --machined-socket --machined-role --hypervisor --transport --low-bandwidth --skip-vmware-detection --idle-off-vmware --qga-port --power-deadline --force-shutdown --reboot-mode --power-busy --power-host-policy --drain-deadline --shutdown-budget --escalate-after --etcd-guard --etcd-hold --vmotion-notify --vmotion-period --ha-monitor --ha-unready-for --ha-silent-for --ha-settle --guest-host-name --scrub-guestinfo --guest-variables --inventory-apps --inventory-containers --guest-operations --quiesce --quiesce-max-freeze --quiesce-etcd --sandbox --log-level --log-format --config --help --version vmtoolsd guest-agent talosquery rpc check token version help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --use-machined)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-role)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hypervisor)
                    COMPREPLY=($(compgen -W "auto vmware qemu" -- "${cur}"))
                    return 0
                    ;;
                --transport)
                    COMPREPLY=($(compgen -W "auto vsock backdoor" -- "${cur}"))
                    return 0
                    ;;
                --low-bandwidth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --skip-vmware-detection)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --idle-off-vmware)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --qga-port)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --power-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --force-shutdown)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reboot-mode)
                    COMPREPLY=($(compgen -W "default powercycle force" -- "${cur}"))
                    return 0
                    ;;
                --power-busy)
                    COMPREPLY=($(compgen -W "refuse pass" -- "${cur}"))
                    return 0
                    ;;
                --power-host-policy)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --drain-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shutdown-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --escalate-after)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --etcd-guard)
                    COMPREPLY=($(compgen -W "off warn hold refuse" -- "${cur}"))
                    return 0
                    ;;
                --etcd-hold)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-notify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-period)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-monitor)
                    COMPREPLY=($(compgen -W "off node ready" -- "${cur}"))
                    return 0
                    ;;
                --ha-unready-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-silent-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-settle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-host-name)
                    COMPREPLY=($(compgen -W "node fqdn" -- "${cur}"))
                    return 0
                    ;;
                --scrub-guestinfo)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-variables)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-apps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-containers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-operations)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce)
                    COMPREPLY=($(compgen -W "off sync freeze" -- "${cur}"))
                    return 0
                    ;;
                --quiesce-max-freeze)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce-etcd)
                    COMPREPLY=($(compgen -W "refuse warn" -- "${cur}"))
                    return 0
                    ;;
                --sandbox)
                    COMPREPLY=($(compgen -W "enforce warn off" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -W "error warn warning info debug trace" -- "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__check)
            opts="-h --json --use-machined --talos-config --talos-node --machined-socket --machined-role --hypervisor --transport --low-bandwidth --skip-vmware-detection --idle-off-vmware --qga-port --power-deadline --force-shutdown --reboot-mode --power-busy --power-host-policy --drain-deadline --shutdown-budget --escalate-after --etcd-guard --etcd-hold --vmotion-notify --vmotion-period --ha-monitor --ha-unready-for --ha-silent-for --ha-settle --guest-host-name --scrub-guestinfo --guest-variables --inventory-apps --inventory-containers --guest-operations --quiesce --quiesce-max-freeze --quiesce-etcd --sandbox --log-level --log-format --config --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --use-machined)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-role)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hypervisor)
                    COMPREPLY=($(compgen -W "auto vmware qemu" -- "${cur}"))
                    return 0
                    ;;
                --transport)
                    COMPREPLY=($(compgen -W "auto vsock backdoor" -- "${cur}"))
                    return 0
                    ;;
                --low-bandwidth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --skip-vmware-detection)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --idle-off-vmware)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --qga-port)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --power-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --force-shutdown)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reboot-mode)
                    COMPREPLY=($(compgen -W "default powercycle force" -- "${cur}"))
                    return 0
                    ;;
                --power-busy)
                    COMPREPLY=($(compgen -W "refuse pass" -- "${cur}"))
                    return 0
                    ;;
                --power-host-policy)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --drain-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shutdown-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --escalate-after)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --etcd-guard)
                    COMPREPLY=($(compgen -W "off warn hold refuse" -- "${cur}"))
                    return 0
                    ;;
                --etcd-hold)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-notify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-period)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-monitor)
                    COMPREPLY=($(compgen -W "off node ready" -- "${cur}"))
                    return 0
                    ;;
                --ha-unready-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-silent-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-settle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-host-name)
                    COMPREPLY=($(compgen -W "node fqdn" -- "${cur}"))
                    return 0
                    ;;
                --scrub-guestinfo)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-variables)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-apps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-containers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-operations)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce)
                    COMPREPLY=($(compgen -W "off sync freeze" -- "${cur}"))
                    return 0
                    ;;
                --quiesce-max-freeze)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce-etcd)
                    COMPREPLY=($(compgen -W "refuse warn" -- "${cur}"))
                    return 0
                    ;;
                --sandbox)
                    COMPREPLY=($(compgen -W "enforce warn off" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -W "error warn warning info debug trace" -- "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help)
            opts="vmtoolsd talosquery rpc check token version help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help__subcmd__check)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help__subcmd__help)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help__subcmd__rpc)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help__subcmd__talosquery)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help__subcmd__token)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help__subcmd__version)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__help__subcmd__vmtoolsd)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__rpc)
            opts="-h --use-machined --talos-config --talos-node --machined-socket --machined-role --hypervisor --transport --low-bandwidth --skip-vmware-detection --idle-off-vmware --qga-port --power-deadline --force-shutdown --reboot-mode --power-busy --power-host-policy --drain-deadline --shutdown-budget --escalate-after --etcd-guard --etcd-hold --vmotion-notify --vmotion-period --ha-monitor --ha-unready-for --ha-silent-for --ha-settle --guest-host-name --scrub-guestinfo --guest-variables --inventory-apps --inventory-containers --guest-operations --quiesce --quiesce-max-freeze --quiesce-etcd --sandbox --log-level --log-format --config --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --use-machined)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-role)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hypervisor)
                    COMPREPLY=($(compgen -W "auto vmware qemu" -- "${cur}"))
                    return 0
                    ;;
                --transport)
                    COMPREPLY=($(compgen -W "auto vsock backdoor" -- "${cur}"))
                    return 0
                    ;;
                --low-bandwidth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --skip-vmware-detection)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --idle-off-vmware)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --qga-port)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --power-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --force-shutdown)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reboot-mode)
                    COMPREPLY=($(compgen -W "default powercycle force" -- "${cur}"))
                    return 0
                    ;;
                --power-busy)
                    COMPREPLY=($(compgen -W "refuse pass" -- "${cur}"))
                    return 0
                    ;;
                --power-host-policy)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --drain-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shutdown-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --escalate-after)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --etcd-guard)
                    COMPREPLY=($(compgen -W "off warn hold refuse" -- "${cur}"))
                    return 0
                    ;;
                --etcd-hold)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-notify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-period)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-monitor)
                    COMPREPLY=($(compgen -W "off node ready" -- "${cur}"))
                    return 0
                    ;;
                --ha-unready-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-silent-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-settle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-host-name)
                    COMPREPLY=($(compgen -W "node fqdn" -- "${cur}"))
                    return 0
                    ;;
                --scrub-guestinfo)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-variables)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-apps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-containers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-operations)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce)
                    COMPREPLY=($(compgen -W "off sync freeze" -- "${cur}"))
                    return 0
                    ;;
                --quiesce-max-freeze)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce-etcd)
                    COMPREPLY=($(compgen -W "refuse warn" -- "${cur}"))
                    return 0
                    ;;
                --sandbox)
                    COMPREPLY=($(compgen -W "enforce warn off" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -W "error warn warning info debug trace" -- "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__talosquery)
            opts="-h --json --use-machined --talos-config --talos-node --machined-socket --machined-role --hypervisor --transport --low-bandwidth --skip-vmware-detection --idle-off-vmware --qga-port --power-deadline --force-shutdown --reboot-mode --power-busy --power-host-policy --drain-deadline --shutdown-budget --escalate-after --etcd-guard --etcd-hold --vmotion-notify --vmotion-period --ha-monitor --ha-unready-for --ha-silent-for --ha-settle --guest-host-name --scrub-guestinfo --guest-variables --inventory-apps --inventory-containers --guest-operations --quiesce --quiesce-max-freeze --quiesce-etcd --sandbox --log-level --log-format --config --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --use-machined)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-role)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hypervisor)
                    COMPREPLY=($(compgen -W "auto vmware qemu" -- "${cur}"))
                    return 0
                    ;;
                --transport)
                    COMPREPLY=($(compgen -W "auto vsock backdoor" -- "${cur}"))
                    return 0
                    ;;
                --low-bandwidth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --skip-vmware-detection)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --idle-off-vmware)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --qga-port)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --power-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --force-shutdown)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reboot-mode)
                    COMPREPLY=($(compgen -W "default powercycle force" -- "${cur}"))
                    return 0
                    ;;
                --power-busy)
                    COMPREPLY=($(compgen -W "refuse pass" -- "${cur}"))
                    return 0
                    ;;
                --power-host-policy)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --drain-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shutdown-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --escalate-after)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --etcd-guard)
                    COMPREPLY=($(compgen -W "off warn hold refuse" -- "${cur}"))
                    return 0
                    ;;
                --etcd-hold)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-notify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-period)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-monitor)
                    COMPREPLY=($(compgen -W "off node ready" -- "${cur}"))
                    return 0
                    ;;
                --ha-unready-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-silent-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-settle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-host-name)
                    COMPREPLY=($(compgen -W "node fqdn" -- "${cur}"))
                    return 0
                    ;;
                --scrub-guestinfo)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-variables)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-apps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-containers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-operations)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce)
                    COMPREPLY=($(compgen -W "off sync freeze" -- "${cur}"))
                    return 0
                    ;;
                --quiesce-max-freeze)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce-etcd)
                    COMPREPLY=($(compgen -W "refuse warn" -- "${cur}"))
                    return 0
                    ;;
                --sandbox)
                    COMPREPLY=($(compgen -W "enforce warn off" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -W "error warn warning info debug trace" -- "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__token)
            opts="-h --key --public-key --user --node --ttl --use-machined --talos-config --talos-node --machined-socket --machined-role --hypervisor --transport --low-bandwidth --skip-vmware-detection --idle-off-vmware --qga-port --power-deadline --force-shutdown --reboot-mode --power-busy --power-host-policy --drain-deadline --shutdown-budget --escalate-after --etcd-guard --etcd-hold --vmotion-notify --vmotion-period --ha-monitor --ha-unready-for --ha-silent-for --ha-settle --guest-host-name --scrub-guestinfo --guest-variables --inventory-apps --inventory-containers --guest-operations --quiesce --quiesce-max-freeze --quiesce-etcd --sandbox --log-level --log-format --config --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --key)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --user)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ttl)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --use-machined)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-role)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hypervisor)
                    COMPREPLY=($(compgen -W "auto vmware qemu" -- "${cur}"))
                    return 0
                    ;;
                --transport)
                    COMPREPLY=($(compgen -W "auto vsock backdoor" -- "${cur}"))
                    return 0
                    ;;
                --low-bandwidth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --skip-vmware-detection)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --idle-off-vmware)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --qga-port)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --power-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --force-shutdown)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reboot-mode)
                    COMPREPLY=($(compgen -W "default powercycle force" -- "${cur}"))
                    return 0
                    ;;
                --power-busy)
                    COMPREPLY=($(compgen -W "refuse pass" -- "${cur}"))
                    return 0
                    ;;
                --power-host-policy)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --drain-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shutdown-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --escalate-after)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --etcd-guard)
                    COMPREPLY=($(compgen -W "off warn hold refuse" -- "${cur}"))
                    return 0
                    ;;
                --etcd-hold)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-notify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-period)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-monitor)
                    COMPREPLY=($(compgen -W "off node ready" -- "${cur}"))
                    return 0
                    ;;
                --ha-unready-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-silent-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-settle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-host-name)
                    COMPREPLY=($(compgen -W "node fqdn" -- "${cur}"))
                    return 0
                    ;;
                --scrub-guestinfo)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-variables)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-apps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-containers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-operations)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce)
                    COMPREPLY=($(compgen -W "off sync freeze" -- "${cur}"))
                    return 0
                    ;;
                --quiesce-max-freeze)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce-etcd)
                    COMPREPLY=($(compgen -W "refuse warn" -- "${cur}"))
                    return 0
                    ;;
                --sandbox)
                    COMPREPLY=($(compgen -W "enforce warn off" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -W "error warn warning info debug trace" -- "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__version)
            opts="-h --short --use-machined --talos-config --talos-node --machined-socket --machined-role --hypervisor --transport --low-bandwidth --skip-vmware-detection --idle-off-vmware --qga-port --power-deadline --force-shutdown --reboot-mode --power-busy --power-host-policy --drain-deadline --shutdown-budget --escalate-after --etcd-guard --etcd-hold --vmotion-notify --vmotion-period --ha-monitor --ha-unready-for --ha-silent-for --ha-settle --guest-host-name --scrub-guestinfo --guest-variables --inventory-apps --inventory-containers --guest-operations --quiesce --quiesce-max-freeze --quiesce-etcd --sandbox --log-level --log-format --config --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --use-machined)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-role)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hypervisor)
                    COMPREPLY=($(compgen -W "auto vmware qemu" -- "${cur}"))
                    return 0
                    ;;
                --transport)
                    COMPREPLY=($(compgen -W "auto vsock backdoor" -- "${cur}"))
                    return 0
                    ;;
                --low-bandwidth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --skip-vmware-detection)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --idle-off-vmware)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --qga-port)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --power-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --force-shutdown)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reboot-mode)
                    COMPREPLY=($(compgen -W "default powercycle force" -- "${cur}"))
                    return 0
                    ;;
                --power-busy)
                    COMPREPLY=($(compgen -W "refuse pass" -- "${cur}"))
                    return 0
                    ;;
                --power-host-policy)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --drain-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shutdown-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --escalate-after)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --etcd-guard)
                    COMPREPLY=($(compgen -W "off warn hold refuse" -- "${cur}"))
                    return 0
                    ;;
                --etcd-hold)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-notify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-period)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-monitor)
                    COMPREPLY=($(compgen -W "off node ready" -- "${cur}"))
                    return 0
                    ;;
                --ha-unready-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-silent-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-settle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-host-name)
                    COMPREPLY=($(compgen -W "node fqdn" -- "${cur}"))
                    return 0
                    ;;
                --scrub-guestinfo)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-variables)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-apps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-containers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-operations)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce)
                    COMPREPLY=($(compgen -W "off sync freeze" -- "${cur}"))
                    return 0
                    ;;
                --quiesce-max-freeze)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce-etcd)
                    COMPREPLY=($(compgen -W "refuse warn" -- "${cur}"))
                    return 0
                    ;;
                --sandbox)
                    COMPREPLY=($(compgen -W "enforce warn off" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -W "error warn warning info debug trace" -- "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        talos__subcmd__vmtoolsd__subcmd__vmtoolsd)
            opts="-h --use-machined --talos-config --talos-node --machined-socket --machined-role --hypervisor --transport --low-bandwidth --skip-vmware-detection --idle-off-vmware --qga-port --power-deadline --force-shutdown --reboot-mode --power-busy --power-host-policy --drain-deadline --shutdown-budget --escalate-after --etcd-guard --etcd-hold --vmotion-notify --vmotion-period --ha-monitor --ha-unready-for --ha-silent-for --ha-settle --guest-host-name --scrub-guestinfo --guest-variables --inventory-apps --inventory-containers --guest-operations --quiesce --quiesce-max-freeze --quiesce-etcd --sandbox --log-level --log-format --config --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --use-machined)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --talos-node)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-socket)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --machined-role)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hypervisor)
                    COMPREPLY=($(compgen -W "auto vmware qemu" -- "${cur}"))
                    return 0
                    ;;
                --transport)
                    COMPREPLY=($(compgen -W "auto vsock backdoor" -- "${cur}"))
                    return 0
                    ;;
                --low-bandwidth)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --skip-vmware-detection)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --idle-off-vmware)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --qga-port)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --power-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --force-shutdown)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --reboot-mode)
                    COMPREPLY=($(compgen -W "default powercycle force" -- "${cur}"))
                    return 0
                    ;;
                --power-busy)
                    COMPREPLY=($(compgen -W "refuse pass" -- "${cur}"))
                    return 0
                    ;;
                --power-host-policy)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --drain-deadline)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --shutdown-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --escalate-after)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --etcd-guard)
                    COMPREPLY=($(compgen -W "off warn hold refuse" -- "${cur}"))
                    return 0
                    ;;
                --etcd-hold)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-notify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --vmotion-period)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-monitor)
                    COMPREPLY=($(compgen -W "off node ready" -- "${cur}"))
                    return 0
                    ;;
                --ha-unready-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-silent-for)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --ha-settle)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-host-name)
                    COMPREPLY=($(compgen -W "node fqdn" -- "${cur}"))
                    return 0
                    ;;
                --scrub-guestinfo)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-variables)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-apps)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --inventory-containers)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --guest-operations)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce)
                    COMPREPLY=($(compgen -W "off sync freeze" -- "${cur}"))
                    return 0
                    ;;
                --quiesce-max-freeze)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --quiesce-etcd)
                    COMPREPLY=($(compgen -W "refuse warn" -- "${cur}"))
                    return 0
                    ;;
                --sandbox)
                    COMPREPLY=($(compgen -W "enforce warn off" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -W "error warn warning info debug trace" -- "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --config)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _talos__vmtoolsd -o nosort -o bashdefault -o default talos-vmtoolsd
else
    complete -F _talos__vmtoolsd -o bashdefault -o default talos-vmtoolsd
fi
