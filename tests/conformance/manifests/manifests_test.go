package manifests_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/siderolabs/talos/pkg/kubernetes/inject"
	"github.com/siderolabs/talos/pkg/machinery/constants"
	"github.com/siderolabs/talos/pkg/machinery/role"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"talos-vmtoolsd/conformance/manifests"
	"talos-vmtoolsd/conformance/oci"
	"talos-vmtoolsd/conformance/repo"
)

var (
	tight       = manifests.Policy{Level: api.LevelRestricted}
	hostNetwork = manifests.Policy{HostNetwork: true}
	vsock       = manifests.Policy{Capabilities: []corev1.Capability{"NET_BIND_SERVICE"}}
	qemu        = manifests.Policy{Privileged: true}
	qemuDevice  = manifests.Policy{Level: api.LevelBaseline, Device: "squat.ai/qemu-guest-agent"}
)

var variants = []struct {
	folder string
	policy manifests.Policy
}{
	{"talosconfig", tight},
	{"serviceaccount", tight},
	{"vsock", vsock},
	{"vsock-with-talosconfig", vsock},
	{"talosconfig-with-settings", tight},
	{"talosconfig-with-hostnetwork", hostNetwork},
	{"talosconfig-with-qemu", qemu},
	{"serviceaccount-with-qemu", qemu},
	{"talosconfig-with-qemu-device", qemuDevice},
	{"serviceaccount-with-qemu-device", qemuDevice},
}

func TestVariants(t *testing.T) {
	for _, variant := range variants {
		t.Run(variant.folder, func(t *testing.T) {
			objects, err := manifests.Decode(build(t, variant.folder))
			if err != nil {
				t.Fatal(err)
			}

			if len(objects.DaemonSets) != 1 {
				t.Fatalf("%d DaemonSets", len(objects.DaemonSets))
			}

			for _, err := range manifests.Judge(objects.DaemonSets[0], variant.policy, repo.Registry(t)) {
				t.Error(err)
			}
		})
	}
}

func TestTheTalosconfigIsWhereTheAgentIsTold(t *testing.T) {
	objects, err := manifests.Decode(build(t, "talosconfig"))
	if err != nil {
		t.Fatal(err)
	}

	container := objects.DaemonSets[0].Spec.Template.Spec.Containers[0]
	if !slices.Contains(container.Env, corev1.EnvVar{Name: "VMTOOLSD_TALOS_CONFIG", Value: container.VolumeMounts[0].MountPath + "/talosconfig"}) {
		t.Errorf("mount %s, environment %v", container.VolumeMounts[0].MountPath, container.Env)
	}
}

// `talosctl inject serviceaccount` would do to the base what our overlay does.
func TestTheServiceAccountIsTheOneThatTalosWouldInject(t *testing.T) {
	for _, folder := range []string{"serviceaccount", "vsock"} {
		injected, err := inject.ServiceAccount(bytes.NewReader(build(t, "base")), []string{string(role.Operator)})
		if err != nil {
			t.Fatal(err)
		}

		// The zero values that it adds (status, creationTimestamp) are known fields too.
		theirs, err := manifests.Decode(injected)
		if err != nil {
			t.Fatal(err)
		}

		ours, err := manifests.Decode(build(t, folder))
		if err != nil {
			t.Fatal(err)
		}

		if len(ours.ServiceAccounts) != 1 || len(theirs.ServiceAccounts) != 1 {
			t.Fatalf("%d and %d ServiceAccounts", len(ours.ServiceAccounts), len(theirs.ServiceAccounts))
		}

		our, their := ours.ServiceAccounts[0], theirs.ServiceAccounts[0]
		if our.TypeMeta != their.TypeMeta || our.Name != their.Name || our.Namespace != their.Namespace || !slices.Equal(our.Spec.Roles, their.Spec.Roles) {
			t.Errorf("ServiceAccount %+v, want %+v", our, their)
		}

		if !slices.Equal(our.Spec.Roles, []string{"os:operator"}) {
			t.Errorf("roles %v", our.Spec.Roles)
		}

		ourPod, theirPod := ours.DaemonSets[0].Spec.Template.Spec, theirs.DaemonSets[0].Spec.Template.Spec
		if ourPod.Volumes[0].Secret.SecretName != theirPod.Volumes[0].Secret.SecretName {
			t.Errorf("Secret %s, want %s", ourPod.Volumes[0].Secret.SecretName, theirPod.Volumes[0].Secret.SecretName)
		}

		if mount := ourPod.Containers[0].VolumeMounts[0].MountPath; mount != theirPod.Containers[0].VolumeMounts[0].MountPath || mount != constants.ServiceAccountMountPath {
			t.Errorf("mount %s, want %s", mount, constants.ServiceAccountMountPath)
		}
	}
}

// The custom resource definition that Talos installs agrees with our idea of it.
func TestTheServiceAccountFitsTalosDefinition(t *testing.T) {
	path := filepath.Join(repo.Source(t, "github.com/siderolabs/talos"),
		"internal/app/machined/pkg/controllers/k8s/internal/k8stemplates/testdata/talos-service-account-crd.yaml")

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	var definition struct {
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct {
					OpenAPIV3Schema struct {
						Properties struct {
							Spec struct {
								Properties map[string]struct {
									Type  string
									Items struct{ Type string }
								}
							}
						}
					} `json:"openAPIV3Schema"`
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}

	objects, err := manifests.Decode(build(t, "serviceaccount"))
	if err != nil {
		t.Fatal(err)
	}

	version := definition.Spec.Versions[0]
	if got, want := objects.ServiceAccounts[0].GroupVersionKind().String(), fmt.Sprintf("%s/%s, Kind=%s", definition.Spec.Group, version.Name, definition.Spec.Names.Kind); got != want {
		t.Errorf("%s, want %s", got, want)
	}

	if roles := version.Schema.OpenAPIV3Schema.Properties.Spec.Properties["roles"]; roles.Type != "array" || roles.Items.Type != "string" {
		t.Errorf("spec.roles is %+v", roles)
	}
}

// Without a variable the agent looks for a talosconfig where Talos mounts one, and for apid on 127.0.0.1.
func TestTheManifestOfQemuGuestAgentTalosHasWhatTheAgentLooksFor(t *testing.T) {
	objects, err := manifests.Decode([]byte(manifests.QemuGuestAgentTalos))
	if err != nil {
		t.Fatal(err)
	}

	pod := objects.DaemonSets[0].Spec.Template.Spec
	if mount := pod.Containers[0].VolumeMounts[0].MountPath; mount != constants.ServiceAccountMountPath {
		t.Errorf("the talosconfig is mounted at %s", mount)
	}

	if !pod.HostNetwork || len(pod.Containers[0].Env) != 0 {
		t.Errorf("on the host's network: %t; variables %v", pod.HostNetwork, pod.Containers[0].Env)
	}
}

func TestABadManifestIsNoticed(t *testing.T) {
	for _, mutation := range []struct{ name, folder, from, to, want string }{
		{"unknown field of the DaemonSet", "talosconfig", "selector:", "replicas: 3\n  selector:", `unknown field "spec.replicas"`},
		{"field of the pod misspelt", "talosconfig", "hostNetwork: false", "hostNetwrok: false", `unknown field "spec.template.spec.hostNetwrok"`},
		{"field in the wrong case", "talosconfig", "automountServiceAccountToken", "automountServiceaccountToken", `unknown field`},
		{"unknown field of the container", "talosconfig", "readOnlyRootFilesystem: true", "readOnlyRootFileSystem: true", `unknown field`},
		{"wrong type", "talosconfig", "runAsUser: 65532", `runAsUser: nobody`, "cannot unmarshal"},
		{"unknown kind", "serviceaccount", "kind: ServiceAccount", "kind: ServiceAcount", "no kind"},
		{"unknown field of the ServiceAccount", "serviceaccount", "  roles:", "  role: x\n  roles:", `unknown field "spec.role"`},
		{"duplicate key", "talosconfig", "enableServiceLinks: false", "enableServiceLinks: false\n      enableServiceLinks: true", "already set"},
		{"SYS_RAWIO", "talosconfig", "drop:", "add: [SYS_RAWIO]\n            drop:", "adds capability SYS_RAWIO"},
		{"more than NET_BIND_SERVICE", "vsock", "NET_BIND_SERVICE", "SYS_ADMIN", "adds capability SYS_ADMIN"},
		{"capabilities kept", "talosconfig", "- ALL", "- CHOWN", "want ALL"},
		{"privileged", "talosconfig", "privileged: false", "privileged: true", "privileged"},
		{"escalation", "talosconfig", "allowPrivilegeEscalation: false", "allowPrivilegeEscalation: true", "may escalate"},
		{"writeable root", "talosconfig", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "root is writeable"},
		{"no seccomp", "talosconfig", "type: RuntimeDefault", "type: Unconfined", "seccomp"},
		{"root", "talosconfig", "runAsNonRoot: true", "runAsNonRoot: false", "runAsNonRoot"},
		{"token", "talosconfig", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token"},
		{"memory", "talosconfig", "memory: 32Mi", "memory: 65Mi", "memory limit"},
		{"namespace", "talosconfig", "namespace: kube-system", "namespace: default", "namespace"},
		{"another's endpoint", "talosconfig", "status.hostIP", "status.podIP", "own address"},
		{"selector", "talosconfig", "app: talos-vmtoolsd\n        app.kubernetes.io", "app: other\n        app.kubernetes.io", "selector does not match"},
		{"selector of our own", "talosconfig", "matchLabels:\n      app: ", "matchLabels:\n      app.kubernetes.io/name: ", "selector is not the Go daemon's"},
		{"another's image", "talosconfig", repo.Registry(t), "ghcr.io/siderolabs", "somebody else's"},
		{"Windows", "talosconfig", "kubernetes.io/os: linux", "kubernetes.io/os: windows", "other systems than Linux"},
		{"host network", "talosconfig", "hostNetwork: false", "hostNetwork: true", "namespace with the host"},
		{"host path", "talosconfig", "secret:\n          defaultMode: 288\n          secretName: talos-vmtoolsd-config", "hostPath: {path: /}", "no Secret"},
		{"subPath", "talosconfig", "name: config\n          readOnly: true", "name: config\n          subPath: x\n          readOnly: true", "never renewed"},
		{"another program", "talosconfig", "- /talos-vmtoolsd", "- /bin/sh", "runs"},
		{"privileged for a device that a plugin hands out", "talosconfig-with-qemu-device", "privileged: false", "privileged: true", "privileged"},
		{"a host's folder for a device", "talosconfig-with-qemu", "secret:\n          defaultMode: 288\n          secretName: talos-vmtoolsd-config", "hostPath: {path: /dev}", "no Secret"},
		{"privileged and yet not", "talosconfig-with-qemu", "allowPrivilegeEscalation: true", "allowPrivilegeEscalation: false", "may escalate"},
		{"another device", "talosconfig-with-qemu-device", "squat.ai/qemu-guest-agent: 1", "squat.ai/tpm: 1", "asks for squat.ai/tpm"},
		{"a device and not where", "talosconfig-with-qemu-device", "VMTOOLSD_QGA_PORT", "VMTOOLSD_PORT", "is not shown the device"},
		{"ends off VMware", "talosconfig", "VMTOOLSD_IDLE_OFF_VMWARE", "VMTOOLSD_IDLE", "ends off VMware"},
	} {
		t.Run(mutation.name, func(t *testing.T) {
			built := strings.ReplaceAll(string(build(t, mutation.folder)), "defaultMode: 0440", "defaultMode: 288")

			text := strings.ReplaceAll(built, mutation.from, mutation.to)
			if text == built {
				t.Fatalf("nothing to change: %q in\n%s", mutation.from, built)
			}

			policy := tight

			for _, variant := range variants {
				if variant.folder == mutation.folder {
					policy = variant.policy
				}
			}

			var found []error
			if objects, err := manifests.Decode([]byte(text)); err != nil {
				found = append(found, err)
			} else {
				found = append(found, manifests.Judge(objects.DaemonSets[0], policy, repo.Registry(t))...)
			}

			if !slices.ContainsFunc(found, func(err error) bool { return strings.Contains(err.Error(), mutation.want) }) {
				t.Errorf("want %q, got %v", mutation.want, found)
			}
		})
	}
}

// build gives the YAML of a variant. Those with "-with-" are what deploy/README.md lets users make of a folder.
func build(t *testing.T, folder string) []byte {
	t.Helper()

	files := filesys.MakeFsInMemory()

	if err := filepath.WalkDir(filepath.Join(repo.Root(t), "deploy"), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}

		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}

		name, err := filepath.Rel(repo.Root(t), path)
		if err != nil {
			return err
		}

		if name == "deploy/talosconfig/kustomization.yaml" || name == "deploy/serviceaccount/kustomization.yaml" {
			credentials := filepath.Base(filepath.Dir(name))
			for _, component := range []string{"settings", "hostnetwork", "qemu", "qemu-device"} {
				with := "resources: [../" + credentials + "]\ncomponents: [../components/" + component + "]\n"
				if err := files.WriteFile("/deploy/"+credentials+"-with-"+component+"/kustomization.yaml", []byte(with)); err != nil {
					return err
				}
			}
		}

		if name == "deploy/vsock/kustomization.yaml" {
			mixed := bytes.ReplaceAll(data, []byte("- ../serviceaccount"), []byte("- ../talosconfig"))
			if err := files.WriteFile("/deploy/vsock-with-talosconfig/kustomization.yaml", mixed); err != nil {
				return err
			}
		}

		return files.WriteFile("/"+name, data)
	}); err != nil {
		t.Fatal(err)
	}

	text, err := manifests.Build(files, "/deploy/"+folder)
	if err != nil {
		t.Fatal(err)
	}

	return text
}

// RUNTIME_IMAGE is the OCI layout of the runtime image; with it the image has to bring the command along that
// the manifests of the Go daemon and of qemu-guest-agent-talos do without.
func TestTheManifestsOfOthersRunOurImage(t *testing.T) {
	for _, manifest := range []string{manifests.GoDaemons, manifests.QemuGuestAgentTalos} {
		objects, err := manifests.Decode([]byte(manifest))
		if err != nil {
			t.Fatal(err)
		}

		container := objects.DaemonSets[0].Spec.Template.Spec.Containers[0]
		if len(container.Command)+len(container.Args) != 0 {
			t.Fatal("this is not the manifest in question")
		}
	}

	layout := os.Getenv("RUNTIME_IMAGE")
	if layout == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("RUNTIME_IMAGE is not set")
		}

		t.Skip("RUNTIME_IMAGE is not set: NOT JUDGED with the image")
	}

	images, err := oci.Images(layout)
	if err != nil {
		t.Fatal(err)
	}

	if len(images) != 2 {
		t.Errorf("%d platforms, want 2", len(images))
	}

	for _, image := range images {
		argv := slices.Concat(image.Config.Config.Entrypoint, image.Config.Config.Cmd)
		if !slices.Equal(argv, []string{"/talos-vmtoolsd", "vmtoolsd"}) {
			t.Errorf("%s/%s runs %q without a command of the manifest", image.Config.OS, image.Config.Architecture, argv)
		}
	}
}
