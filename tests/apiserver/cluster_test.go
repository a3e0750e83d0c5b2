package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/etcd/server/v3/embed"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app/testing"
)

// Talos installs the definition of its ServiceAccounts; conformance/manifests compares ours with it.
const talosServiceAccounts = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: serviceaccounts.talos.dev}
spec:
  group: talos.dev
  names: {kind: ServiceAccount, plural: serviceaccounts, singular: serviceaccount}
  scope: Namespaced
  versions:
    - name: v1alpha1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec:
              type: object
              properties:
                roles: {type: array, items: {type: string}}
`

// What the shell finds as talosctl: there is no Talos here that could sign a certificate.
const talosctl = `#!/bin/sh
[ "$1 $2" = "config new" ] && echo "context: none" >"$3"
`

// cluster is a kube-apiserver with an etcd, without controllers and nodes, and a folder with a copy of deploy/.
type cluster struct {
	folder string
	env    []string
}

func start(t *testing.T) *cluster {
	t.Helper()

	folder := t.TempDir()
	config := embed.NewConfig()
	config.Dir = filepath.Join(folder, "etcd")
	config.LogLevel = "panic" // It calls its own end an error.
	config.UnsafeNoFsync = true

	// Port 0: one that is free.
	anywhere := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}}
	config.ListenPeerUrls, config.ListenClientUrls = anywhere, anywhere

	etcd, err := embed.StartEtcd(config)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(etcd.Close)
	<-etcd.Server.ReadyNotify()

	storage := storagebackend.NewDefaultConfig("/registry", nil)
	storage.Transport.ServerList = []string{"http://" + etcd.Clients[0].Addr().String()}

	// Nobody makes the accounts that pods would get; the rest of admission is as it is by default.
	// Privileged pods are allowed in the API server that Talos runs.
	flags := []string{"--disable-admission-plugins=ServiceAccount", "--authorization-mode=RBAC", "--allow-privileged=true"}

	server, err := apiserver.StartTestServer(t, nil, flags, storage)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(server.TearDownFn)

	access := clientcmdapi.NewConfig()
	access.Clusters["it"] = &clientcmdapi.Cluster{
		Server:                   server.ClientConfig.Host,
		CertificateAuthorityData: server.ClientConfig.CAData,
		TLSServerName:            server.ClientConfig.ServerName,
	}
	access.AuthInfos["it"] = &clientcmdapi.AuthInfo{Token: server.ClientConfig.BearerToken}
	access.Contexts["it"] = &clientcmdapi.Context{Cluster: "it", AuthInfo: "it"}
	access.CurrentContext = "it"

	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := clientcmd.WriteToFile(*access, kubeconfig); err != nil {
		t.Fatal(err)
	}

	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}

	bin := filepath.Join(folder, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}

	for _, name := range []string{"kubectl", "kustomize"} {
		if err := os.Symlink(self, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}

	if err := os.WriteFile(filepath.Join(bin, "talosctl"), []byte(talosctl), 0o755); err != nil {
		t.Fatal(err)
	}

	c := &cluster{folder, append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "KUBECONFIG="+kubeconfig, "HOME="+folder)}
	c.apply(t, talosServiceAccounts)
	c.must(t, "kubectl wait --for=condition=Established --timeout=30s customresourcedefinition/serviceaccounts.talos.dev")

	return c
}

// try runs a script in the folder that has deploy/.
func (c *cluster) try(script string) (string, error) {
	command := exec.Command("bash", "-euo", "pipefail", "-c", script)
	command.Dir, command.Env = c.folder, c.env
	said, err := command.CombinedOutput()

	return string(said), err
}

func (c *cluster) must(t *testing.T, script string) string {
	t.Helper()

	said, err := c.try(script)
	if err != nil {
		t.Fatalf("%s\n%s%v", script, said, err)
	}

	return said
}

func (c *cluster) apply(t *testing.T, manifest string) string {
	t.Helper()

	return c.must(t, "kubectl apply --filename - <<'END'\n"+manifest+"\nEND")
}

// afresh has deploy/ as it is in the repository, and a cluster without any agent.
func (c *cluster) afresh(t *testing.T) {
	t.Helper()

	deploy, err := filepath.Abs("../../deploy")
	if err != nil {
		t.Fatal(err)
	}

	c.must(t, "rm -rf deploy; cp -r '"+deploy+"' deploy")
	c.must(t, "kubectl --namespace kube-system delete --ignore-not-found daemonsets.apps/talos-vmtoolsd secrets/talos-vmtoolsd-config serviceaccounts.talos.dev/talos-vmtoolsd-talos-secrets")
}

// edit changes files of deploy/ and fails when there is nothing to change.
func (c *cluster) edit(t *testing.T, file, from, to string) {
	t.Helper()

	path := filepath.Join(c.folder, "deploy", file)

	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}

	if !strings.Contains(string(text), from) {
		t.Fatalf("%s: no %q", file, from)
	}

	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), from, to)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// stored is the DaemonSet as the API server has it.
func (c *cluster) stored(t *testing.T) *appsv1.DaemonSet {
	t.Helper()

	var found appsv1.DaemonSet
	if err := json.Unmarshal([]byte(c.must(t, "kubectl --namespace kube-system get daemonsets.apps/talos-vmtoolsd --output json")), &found); err != nil {
		t.Fatal(err)
	}

	return &found
}

// blocks are the scripts of a chapter of deploy/README.md, in order.
func blocks(t *testing.T, chapter string) []string {
	t.Helper()

	text, err := os.ReadFile("../../deploy/README.md")
	if err != nil {
		t.Fatal(err)
	}

	_, rest, found := strings.Cut(string(text), fmt.Sprintf("\n## %s\n", chapter))
	if !found {
		t.Fatalf("deploy/README.md has no chapter %q", chapter)
	}

	rest, _, _ = strings.Cut(rest, "\n## ")

	var scripts []string
	for _, block := range strings.Split(rest, "\n```bash\n")[1:] {
		script, _, _ := strings.Cut(block, "\n```")
		scripts = append(scripts, script)
	}

	if len(scripts) == 0 {
		t.Fatalf("the chapter %q has no commands", chapter)
	}

	return scripts
}
