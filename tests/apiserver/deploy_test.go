package apiserver_test

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const ours = "registry.example/talos-vmtoolsd:v2.0.0"

// The Go daemon's manifest as it was published, in short: its selector, its account, its variables, and the capability
// that newer ones ask for.
const goDaemons = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: talos-vmtoolsd, namespace: kube-system, labels: {app: talos-vmtoolsd}}
spec:
  selector: {matchLabels: {app: talos-vmtoolsd}}
  template:
    metadata: {labels: {app: talos-vmtoolsd}}
    spec:
      priorityClassName: system-node-critical
      tolerations: [{key: node-role.kubernetes.io/control-plane, operator: Exists, effect: NoSchedule}]
      securityContext: {fsGroup: 1002}
      containers:
        - name: talos-vmtoolsd
          image: ghcr.io/siderolabs/talos-vmtoolsd:latest
          imagePullPolicy: Always
          env:
            - {name: TALOS_CONFIG_PATH, value: /etc/talos-vmtoolsd/talosconfig}
            - {name: TALOS_HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}
          resources: {requests: {memory: 8Mi}, limits: {memory: 64Mi, cpu: 500m}}
          securityContext: {readOnlyRootFilesystem: true, runAsUser: 1002, runAsGroup: 1002, capabilities: {drop: [all], add: [SYS_RAWIO]}}
          volumeMounts: [{name: config, mountPath: /etc/talos-vmtoolsd, readOnly: true}]
      volumes: [{name: config, secret: {secretName: talos-vmtoolsd-config, defaultMode: 0400}}]
`

// What is published of qemu-guest-agent-talos, in short.
const qemuGuestAgentTalos = `
apiVersion: v1
kind: Namespace
metadata: {name: qemu-guest-agent}
---
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
          securityContext: {privileged: true}
          volumeMounts: [{name: virtio, mountPath: /dev/virtio-ports}]
      volumes: [{name: virtio, hostPath: {path: /dev/virtio-ports}}]
`

var folders = []string{"talosconfig", "serviceaccount", "vsock"}

func TestDeploy(t *testing.T) {
	c := start(t)

	for _, folder := range folders {
		for _, way := range []string{"client", "server"} {
			t.Run("the Go daemon's DaemonSet becomes "+folder+" by "+way+"-side apply", func(t *testing.T) {
				c.afresh(t)
				c.apply(t, goDaemons)
				before := c.stored(t)

				c.must(t, setImage(folder))
				flags := ""
				if way == "server" {
					flags = "--server-side --force-conflicts "
				}

				c.must(t, "kubectl apply "+flags+"--kustomize deploy/"+folder)

				after := c.stored(t)
				if after.UID != before.UID || after.Generation == before.Generation {
					t.Errorf("it was not changed in place: %s, %d", after.UID, after.Generation)
				}

				nothingIsLeft(t, after.Spec.Template.Spec)
			})
		}

		t.Run("the Go daemon's DaemonSet, created without apply, becomes "+folder+" by the documented commands", func(t *testing.T) {
			c.afresh(t)
			c.must(t, "kubectl create --filename - <<'END'"+goDaemons+"END")
			c.must(t, setImage(folder))
			c.must(t, strings.ReplaceAll(blocks(t, "From the Go daemon's DaemonSet")[1], "deploy/talosconfig", "deploy/"+folder))
			nothingIsLeft(t, c.stored(t).Spec.Template.Spec)
		})
	}

	t.Run("server-side apply has to be forced, for kubectl owns what it filled in before", func(t *testing.T) {
		c.afresh(t)
		c.apply(t, goDaemons)

		said, err := c.try("kubectl apply --server-side --kustomize deploy/talosconfig")
		if err == nil || !strings.Contains(said, "--force-conflicts") {
			t.Errorf("%v\n%s", err, said)
		}
	})

	t.Run("what was created without apply keeps what the old manifest said", func(t *testing.T) {
		c.afresh(t)
		c.must(t, "kubectl create --filename - <<'END'"+goDaemons+"END")
		c.must(t, "kubectl apply --kustomize deploy/talosconfig")

		security := c.stored(t).Spec.Template.Spec.Containers[0].SecurityContext
		if security.RunAsUser == nil || !slices.Contains(security.Capabilities.Add, "SYS_RAWIO") {
			t.Errorf("it does not: %v", security)
		}
	})

	t.Run("a selector of our own would be refused over the Go daemon's", func(t *testing.T) {
		c.afresh(t)
		c.apply(t, goDaemons)
		c.edit(t, "base/daemonset.yaml", "app: talos-vmtoolsd", "app.kubernetes.io/part-of: talos-vmtoolsd")

		if said, err := c.try("kubectl apply --kustomize deploy/talosconfig"); err == nil || !strings.Contains(said, "field is immutable") {
			t.Errorf("%v\n%s", err, said)
		}
	})

	t.Run("pods are replaced node by node where the documented command says so", func(t *testing.T) {
		c.afresh(t)
		c.apply(t, goDaemons)

		for i, script := range blocks(t, "Node by node") {
			c.must(t, script)

			want := []string{"OnDelete", "OnDelete", "RollingUpdate"}[i]
			if got := string(c.stored(t).Spec.UpdateStrategy.Type); got != want {
				t.Errorf("%s after\n%s", got, script)
			}
		}

		// There is no controller that would: the template is the new one.
		if image := c.stored(t).Spec.Template.Spec.Containers[0].Image; strings.HasPrefix(image, "ghcr.io") {
			t.Errorf("image %s", image)
		}
	})

	t.Run("qemu-guest-agent-talos gets our image and gives way by the documented commands", func(t *testing.T) {
		c.apply(t, qemuGuestAgentTalos)

		scripts := blocks(t, "From the DaemonSet qemu-guest-agent-talos")
		c.must(t, scripts[0])

		const image = "kubectl --namespace qemu-guest-agent get daemonset/qemu-ga-talos --output jsonpath={.spec.template.spec.containers[*].image}"
		if got := c.must(t, image); got != ours {
			t.Errorf("image %s", got)
		}

		c.must(t, scripts[1])
	})

	t.Run("the documented commands of each chapter work in this order", func(t *testing.T) {
		for _, chapters := range [][]string{
			{"Name your image", "With a talosconfig", "Settings, and the host's network", "From the Go daemon's DaemonSet"},
			{"Name your image", "With a Talos ServiceAccount", "Over vsock"},
			{"Name your image", "With a talosconfig", "On QEMU"},
		} {
			c.afresh(t)

			for _, chapter := range chapters {
				for _, script := range blocks(t, chapter) {
					t.Log(c.must(t, script))
				}
			}
		}
	})

	t.Run("the image is the one that was set and none before", func(t *testing.T) {
		for _, folder := range folders {
			c.afresh(t)

			if built := c.must(t, "kubectl kustomize deploy/"+folder); !strings.Contains(built, "image: image-is-not-set.invalid/talos-vmtoolsd\n") {
				t.Errorf("%s has another image:\n%s", folder, built)
			}

			c.must(t, setImage(folder))

			if built := c.must(t, "kubectl kustomize deploy/"+folder); strings.Count(built, "image: ") != 1 || !strings.Contains(built, "image: "+ours+"\n") {
				t.Errorf("%s does not have the image:\n%s", folder, built)
			}
		}
	})

	t.Run("the settings are mounted where the agent looks and another text is another ConfigMap", func(t *testing.T) {
		c.afresh(t)
		c.must(t, "cd deploy/talosconfig && kustomize edit add component ../components/settings")
		first := settings(t, c)
		c.edit(t, "components/settings/settings.yaml", "level: info", "level: debug")

		if second := settings(t, c); first == second {
			t.Errorf("%s both times", first)
		}
	})

	t.Run("pod security takes the pods of a folder or refuses them", func(t *testing.T) {
		c.apply(t, `
apiVersion: v1
kind: Namespace
metadata: {name: restricted, labels: {pod-security.kubernetes.io/enforce: restricted}}
---
apiVersion: v1
kind: Namespace
metadata: {name: baseline, labels: {pod-security.kubernetes.io/enforce: baseline}}`)

		for _, variant := range []struct{ folder, component, level, refusal string }{
			{folder: "talosconfig"},
			{folder: "serviceaccount"},
			{folder: "talosconfig", component: "settings"},
			{folder: "talosconfig", component: "hostnetwork", refusal: "host namespaces"},
			{folder: "vsock", refusal: "seccompProfile"},
			{folder: "talosconfig", component: "qemu-device", level: "baseline"},
			{folder: "talosconfig", component: "qemu-device", refusal: "runAsNonRoot"},
			{folder: "talosconfig", component: "qemu", level: "baseline", refusal: "privileged"},
		} {
			c.afresh(t)

			namespace := cmp.Or(variant.level, "restricted")

			if variant.component != "" {
				c.must(t, "cd deploy/"+variant.folder+" && kustomize edit add component ../components/"+variant.component)
			}

			c.must(t, "kubectl apply --kustomize deploy/"+variant.folder)

			template := c.stored(t).Spec.Template
			// The class is kept for kube-system where a quota says so, and here there is no quota.
			pod := corev1.Pod{Spec: template.Spec}
			pod.APIVersion, pod.Kind = "v1", "Pod"
			pod.Name, pod.Namespace, pod.Labels = "it", namespace, template.Labels

			text, err := json.Marshal(pod)
			if err != nil {
				t.Fatal(err)
			}

			said, err := c.try("kubectl create --dry-run=server --filename - <<'END'\n" + string(text) + "\nEND")
			if refused := err != nil; refused != (variant.refusal != "") || !strings.Contains(said, variant.refusal) {
				t.Errorf("%+v: %v\n%s", variant, err, said)
			}
		}
	})
}

// setImage is the documented command, for a folder.
func setImage(folder string) string {
	return "cd deploy/" + folder + " && kustomize edit set image image-is-not-set.invalid/talos-vmtoolsd=" + ours
}

// settings is the name of the ConfigMap that the pods mount, which has to be there.
func settings(t *testing.T, c *cluster) string {
	t.Helper()

	c.must(t, "kubectl apply --kustomize deploy/talosconfig")

	spec := c.stored(t).Spec.Template.Spec
	at := slices.IndexFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == "settings" })
	name := spec.Volumes[at].ConfigMap.Name
	c.must(t, "kubectl --namespace kube-system get configmap/"+name)

	container := spec.Containers[0]
	mount := slices.IndexFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "settings" })
	file := container.VolumeMounts[mount].MountPath + "/settings.yaml"

	if !slices.Contains(container.Env, corev1.EnvVar{Name: "VMTOOLSD_CONFIG", Value: file}) {
		t.Errorf("mounted at %s, environment %v", file, container.Env)
	}

	return name
}

// nothingIsLeft looks for what the Go daemon's manifest has and ours has not.
func nothingIsLeft(t *testing.T, spec corev1.PodSpec) {
	t.Helper()

	container := spec.Containers[0]

	if len(spec.Containers) != 1 || container.Image != ours {
		t.Errorf("%d containers, image %s", len(spec.Containers), container.Image)
	}

	for _, env := range container.Env {
		if strings.HasPrefix(env.Name, "TALOS_") {
			t.Errorf("variable %s", env.Name)
		}
	}

	if slices.Contains(container.SecurityContext.Capabilities.Add, "SYS_RAWIO") {
		t.Error("SYS_RAWIO is left")
	}

	if user := container.SecurityContext.RunAsUser; user != nil {
		t.Errorf("the container's user %d is left", *user)
	}

	if _, limited := container.Resources.Limits[corev1.ResourceCPU]; limited {
		t.Error("the limit of the processor is left")
	}

	if len(spec.Volumes) != 1 || len(container.VolumeMounts) != 1 {
		t.Errorf("volumes %v, mounts %v", spec.Volumes, container.VolumeMounts)
	}
}
