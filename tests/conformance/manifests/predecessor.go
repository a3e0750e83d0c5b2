package manifests

// GoDaemons is what the Go daemon's manifest says of its container: no command, since its image has one, the talosconfig
// from a Secret, and a capability that ours has no use for.
const GoDaemons = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: talos-vmtoolsd, namespace: kube-system, labels: {app: talos-vmtoolsd}}
spec:
  selector: {matchLabels: {app: talos-vmtoolsd}}
  template:
    metadata: {labels: {app: talos-vmtoolsd}}
    spec:
      containers:
        - name: talos-vmtoolsd
          image: ghcr.io/siderolabs/talos-vmtoolsd:v2.0.0
          env:
            - {name: GRPC_ENFORCE_ALPN_ENABLED, value: "false"}
            - {name: VMTOOLSD_TALOS_CONFIG, value: /etc/talos-vmtoolsd/talosconfig}
            - {name: VMTOOLSD_TALOS_NODE, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
          securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [all], add: [SYS_RAWIO]}}
          volumeMounts: [{name: config, mountPath: /etc/talos-vmtoolsd, readOnly: true}]
      volumes: [{name: config, secret: {secretName: talos-vmtoolsd-config, defaultMode: 0400}}]
`

// QemuGuestAgentTalos is what the manifest of qemu-guest-agent-talos says of its container, which runs qemu-ga: no
// command, the talosconfig from a Secret or from Talos, and the host's network.
const QemuGuestAgentTalos = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: qemu-ga-talos, namespace: qemu-guest-agent}
spec:
  selector: {matchLabels: {name: qemu-ga-talos}}
  template:
    metadata: {labels: {name: qemu-ga-talos}}
    spec:
      hostNetwork: true
      containers:
        - name: qemu-ga-talos
          image: ghcr.io/crisobal/qemu-guest-agent-talos:0.5.0
          securityContext: {privileged: true, allowPrivilegeEscalation: true}
          volumeMounts:
            - {name: talosconfig, mountPath: /var/run/secrets/talos.dev, readOnly: true}
            - {name: virtio, mountPath: /dev/virtio-ports}
      volumes:
        - {name: virtio, hostPath: {path: /dev/virtio-ports}}
        - {name: talosconfig, secret: {secretName: talosconfig}}
`
