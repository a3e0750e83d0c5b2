// Package manifests judges the DaemonSet manifests by the types of the Kubernetes API, with unknown fields
// forbidden as by an API server that validates strictly, and by its pod security standards.
package manifests

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/siderolabs/talos/pkg/machinery/constants"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// TalosServiceAccount is the resource that Talos' custom resource definition describes.
type TalosServiceAccount struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec struct {
		Roles []string `json:"roles"`
	} `json:"spec"`
}

// DeepCopyObject makes it an object of the scheme.
func (a *TalosServiceAccount) DeepCopyObject() runtime.Object {
	deep := *a
	deep.Spec.Roles = slices.Clone(a.Spec.Roles)

	return &deep
}

// Objects are what our manifests consist of.
type Objects struct {
	DaemonSets      []*appsv1.DaemonSet
	ServiceAccounts []*TalosServiceAccount
}

// Build runs kustomize on a folder.
func Build(files filesys.FileSystem, folder string) ([]byte, error) {
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(files, folder)
	if err != nil {
		return nil, err
	}

	return resources.AsYaml()
}

// Decode decodes a stream of YAML documents strictly; kinds that we do not ship are errors.
func Decode(stream []byte) (*Objects, error) {
	scheme := runtime.NewScheme()
	if err := appsv1.AddToScheme(scheme); err != nil {
		return nil, err
	}

	if err := corev1.AddToScheme(scheme); err != nil {
		return nil, err
	}

	scheme.AddKnownTypeWithName(schema.GroupVersionKind{
		Group:   constants.ServiceAccountResourceGroup,
		Version: constants.ServiceAccountResourceVersion,
		Kind:    constants.ServiceAccountResourceKind,
	}, &TalosServiceAccount{})

	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(stream)))
	objects := &Objects{}

	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}

		if err != nil {
			return nil, err
		}

		object, _, err := decoder.Decode(document, nil, nil)
		if err != nil {
			return nil, err
		}

		switch object := object.(type) {
		case *appsv1.DaemonSet:
			objects.DaemonSets = append(objects.DaemonSets, object)
		case *corev1.ConfigMap:
			// Its text is ours to know.
		case *TalosServiceAccount:
			objects.ServiceAccounts = append(objects.ServiceAccounts, object)
		default:
			return nil, fmt.Errorf("unexpected kind %s", object.GetObjectKind().GroupVersionKind())
		}
	}
}

// Policy is how much a variant may ask for.
type Policy struct {
	// Level is the pod security standard that has to let it in; none is `privileged`, which lets in everything.
	Level api.Level
	// Privileged lets it have every device and every right.
	Privileged bool
	// Device is the resource that a device plugin has to hand out.
	Device corev1.ResourceName
	// HostNetwork lets it be on the host's network.
	HostNetwork bool
	// Capabilities are those that may be added.
	Capabilities []corev1.Capability
}

// Judge says what a DaemonSet asks for beyond the policy, and what it lacks that all variants need. Its image has to be
// in the registry.
func Judge(daemonSet *appsv1.DaemonSet, allowed Policy, registry string) []error {
	var errs []error

	refuse := func(wrong bool, format string, arguments ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, arguments...))
		}
	}

	spec := &daemonSet.Spec.Template.Spec
	refuse(daemonSet.Namespace != "kube-system", "namespace %q", daemonSet.Namespace)
	refuse(spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken, "mounts a Kubernetes token")
	refuse(spec.PriorityClassName != "system-node-critical", "priority class %q", spec.PriorityClassName)
	refuse(spec.HostPID || spec.HostIPC || spec.HostNetwork != allowed.HostNetwork, "shares a namespace with the host")
	refuse(!slices.ContainsFunc(spec.Tolerations, func(t corev1.Toleration) bool {
		return t.Key == "" && t.Operator == corev1.TolerationOpExists && t.Effect == ""
	}), "does not tolerate every taint")
	refuse(len(spec.InitContainers) > 0 || len(spec.Containers) != 1, "has other containers than its own")

	refuse(!maps.Equal(spec.NodeSelector, map[string]string{"kubernetes.io/os": "linux"}), "runs on other systems than Linux")
	refuse(!maps.Equal(daemonSet.Spec.Selector.MatchLabels, map[string]string{"app": "talos-vmtoolsd"}), "the selector is not the Go daemon's")

	selector, err := metav1.LabelSelectorAsSelector(daemonSet.Spec.Selector)
	refuse(err != nil, "selector: %v", err)
	refuse(err == nil && (selector.Empty() || !selector.Matches(labels.Set(daemonSet.Spec.Template.Labels))), "the selector does not match the pods")

	for _, volume := range spec.Volumes {
		refuse(volume.Secret == nil && volume.ConfigMap == nil, "volume %s is no Secret and no ConfigMap", volume.Name)
	}

	for i := range spec.Containers {
		errs = append(errs, judgeContainer(&spec.Containers[i], spec, allowed, registry)...)
	}

	if allowed.Level != "" {
		evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
		refuse(err != nil, "%v", err)

		if err == nil {
			level := api.LevelVersion{Level: allowed.Level, Version: api.LatestVersion()}
			for _, result := range evaluator.EvaluatePod(level, &daemonSet.Spec.Template.ObjectMeta, spec) {
				refuse(!result.Allowed, "%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}

	return errs
}

func is(asked *bool) bool { return asked != nil && *asked }

func judgeContainer(container *corev1.Container, pod *corev1.PodSpec, allowed Policy, registry string) []error {
	var errs []error

	refuse := func(wrong bool, format string, arguments ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, arguments...))
		}
	}

	security := container.SecurityContext
	if security == nil {
		return []error{errors.New("no security context")}
	}

	refuse(is(security.Privileged) && !allowed.Privileged, "privileged")
	// The API server takes a privileged container in no other way.
	refuse(security.AllowPrivilegeEscalation == nil || *security.AllowPrivilegeEscalation != is(security.Privileged), "may escalate its privileges")
	refuse(security.ReadOnlyRootFilesystem == nil || !*security.ReadOnlyRootFilesystem, "root is writeable")

	if security.Capabilities == nil {
		errs = append(errs, errors.New("keeps the default capabilities"))
	} else {
		refuse(!slices.Equal(security.Capabilities.Drop, []corev1.Capability{"ALL"}), "drops %v, want ALL", security.Capabilities.Drop)

		for _, capability := range security.Capabilities.Add {
			refuse(!slices.Contains(allowed.Capabilities, capability), "adds capability %s", capability)
		}
	}

	for resource := range container.Resources.Limits {
		refuse(resource != corev1.ResourceMemory && resource != allowed.Device, "asks for %s", resource)
	}

	if allowed.Device != "" {
		limit := container.Resources.Limits[allowed.Device]
		refuse(limit.Value() != 1, "asks for %d of %s", limit.Value(), allowed.Device)
		refuse(!slices.ContainsFunc(container.Env, func(env corev1.EnvVar) bool {
			return env.Name == "VMTOOLSD_QGA_PORT" && strings.HasPrefix(env.Value, "/dev/")
		}), "is not shown the device")
	}

	limit := container.Resources.Limits.Memory().Value()
	refuse(limit == 0 || limit > 64<<20, "memory limit %d, want at most 64 MiB", limit)

	refuse(!strings.HasPrefix(container.Image, registry+"/"), "image %s is not in %s, and could be somebody else's", container.Image, registry)

	argv := slices.Concat(container.Command, container.Args)
	refuse(!slices.Equal(argv, []string{"/talos-vmtoolsd", "vmtoolsd"}), "runs %q", argv)
	refuse(!slices.ContainsFunc(container.Env, func(env corev1.EnvVar) bool {
		return env.Name == "VMTOOLSD_TALOS_NODE" && env.ValueFrom != nil && env.ValueFrom.FieldRef != nil && env.ValueFrom.FieldRef.FieldPath == "status.hostIP"
	}), "the endpoint is not the node's own address")
	refuse(!slices.Contains(container.Env, corev1.EnvVar{Name: "VMTOOLSD_IDLE_OFF_VMWARE", Value: "true"}), "ends off VMware")

	for _, mount := range container.VolumeMounts {
		refuse(!mount.ReadOnly, "mount %s is writeable", mount.MountPath)
		refuse(mount.SubPath != "", "mount %s is a subPath, which is never renewed", mount.MountPath)
		refuse(!slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }), "mount %s has no volume", mount.MountPath)
	}

	return errs
}
