package node_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/siderolabs/talos/pkg/machinery/client"
	clientconfig "github.com/siderolabs/talos/pkg/machinery/client/config"
	"github.com/siderolabs/talos/pkg/machinery/config"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/resources/network"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"talos-vmtoolsd/conformance/manifests"
	"talos-vmtoolsd/conformance/node"
	"talos-vmtoolsd/conformance/protos"
	"talos-vmtoolsd/conformance/repo"
)

// Every method that our protos name is open to os:operator, and power to no less. Two are an administrator's: guest
// operations read files of the node where somebody has given the agent that role (node_files), and handing over the
// leadership of etcd claims it for its one call.
func TestOperatorIsEnough(t *testing.T) {
	files, err := protos.Compile(t.Context(), os.DirFS(filepath.Join(repo.Root(t), "proto")))
	if err != nil {
		t.Fatal(err)
	}

	open := rules(t)

	var methods int

	for _, file := range files {
		for i := range file.Services().Len() {
			service := file.Services().Get(i)
			for j := range service.Methods().Len() {
				methods++

				path := "/" + string(service.FullName()) + "/" + string(service.Methods().Get(j).Name())
				switch path {
				case "/machine.MachineService/Read", "/machine.MachineService/EtcdForfeitLeadership":
					if !open[path].Includes(role.Admin) || open[path].Includes(role.Operator) {
						t.Errorf("%s is not os:admin's alone", path)
					}
				default:
					if !open[path].Includes(role.Operator) {
						t.Errorf("%s is not open to os:operator", path)
					}
				}
			}
		}
	}

	if methods < 8 {
		t.Errorf("only %d methods", methods)
	}

	for _, path := range []string{"/machine.MachineService/Shutdown", "/machine.MachineService/Reboot"} {
		if open[path].Includes(role.Reader) {
			t.Errorf("%s is open to os:reader: the role check is none", path)
		}
	}
}

func TestTalosqueryOnMachinedsSocket(t *testing.T) {
	judged, socket := onSocket(t)

	for _, claimed := range []string{"", "os:reader", "os:admin"} {
		arguments := []string{"talosquery", "--json", "--use-machined", "--machined-socket", socket}
		if claimed != "" {
			arguments = append(arguments, "--machined-role", claimed)
		}

		compare(t, judged, arguments...)
	}
}

// Every layout that our own tests share, as Talos' typed resources.
func TestTalosqueryOfEveryLayout(t *testing.T) {
	names, err := node.Layouts(layouts(t))
	if err != nil || len(names) < 20 {
		t.Fatalf("%d layouts: %v", len(names), err)
	}

	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			judged, socket := served(t, populated(t, name))
			compare(t, judged, "talosquery", "--json", "--use-machined", "--machined-socket", socket)
		})
	}
}

func TestTalosqueryOverTLS(t *testing.T) {
	judged, bundle, endpoint := overTLS(t)

	for _, endpoints := range [][]string{{endpoint}, {"127.0.0.1:1", endpoint}, {"talos.default"}} {
		path := talosconfig(t, bundle, endpoints, time.Hour, role.Operator)
		compare(t, judged, "talosquery", "--json", "--talos-config", path, "--talos-node", endpoint)
	}

	// Without a node the talosconfig's endpoints do not serve: they may be any node's.
	out, err := run(t, "talosquery", "--json", "--talos-config", talosconfig(t, bundle, []string{"127.0.0.1:1", endpoint}, time.Hour, role.Operator))

	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(exit.Stderr), "no node is named") {
		t.Errorf("without a node: %v, %s", err, out)
	}
}

// The role for backups of etcd may not ask for counters, so it proves nothing.
func TestARoleWithoutCountersIsRefused(t *testing.T) {
	_, bundle, endpoint := overTLS(t)

	_, err := run(t, append([]string{"talosquery", "--json"}, tls(t, bundle, endpoint, role.EtcdBackup)...)...)

	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(string(exit.Stderr), "does not prove that it is this machine") {
		t.Errorf("%v", err)
	}
}

// After a change in the state the same answer is wrong: the comparison can fail.
func TestAnOldAnswerIsNoticed(t *testing.T) {
	judged, socket := onSocket(t)
	answer := query(t, "talosquery", "--json", "--use-machined", "--machined-socket", socket)

	if _, err := safe.StateUpdateWithConflicts(t.Context(), judged.State, network.NewLinkStatus(network.NamespaceName, "eth0").Metadata(), func(link *network.LinkStatus) error {
		link.TypedSpec().HardwareAddr[5]++

		return nil
	}); err != nil {
		t.Fatal(err)
	}

	if err := judged.Compare(t.Context(), answer); err == nil || !strings.Contains(err.Error(), "links: seen") {
		t.Errorf("not noticed: %v", err)
	}

	renewed := query(t, "talosquery", "--json", "--use-machined", "--machined-socket", socket)
	if renewed.Links[1].MAC == nil || *renewed.Links[1].MAC != "00:50:56:01:02:04" {
		t.Errorf("the new MAC is not seen: %+v", renewed.Links)
	}
}

func TestCheckNamesTheMissingRole(t *testing.T) {
	_, bundle, endpoint := overTLS(t)
	_, socket := onSocket(t)

	for _, test := range []struct {
		name   string
		flags  []string
		result string
		says   []string
	}{
		{"operator's certificate", tls(t, bundle, endpoint, role.Operator), "ok", []string{"os:operator"}},
		{"admin's certificate", tls(t, bundle, endpoint, role.Admin), "ok", []string{"os:admin"}},
		{"reader's certificate", tls(t, bundle, endpoint, role.Reader), "failed", []string{"os:reader", "os:operator"}},
		{"operator on the socket", []string{"--use-machined", "--machined-socket", socket}, "ok", []string{"os:operator"}},
		{"reader on the socket", []string{"--use-machined", "--machined-socket", socket, "--machined-role", "os:reader"}, "failed", []string{"os:reader", "os:operator"}},
		{"etcd backup on the socket", []string{"--use-machined", "--machined-socket", socket, "--machined-role", "os:etcd:backup"}, "failed", []string{"os:operator"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			// It fails here anyway: this is no VMware.
			out, _ := run(t, append([]string{"check", "--json"}, test.flags...)...)

			var report struct {
				Checks []struct{ Check, Result, Detail, Remedy string }
			}
			if err := json.Unmarshal(out, &report); err != nil {
				t.Fatalf("%v: %s", err, out)
			}

			// A role with which Talos tells nothing at all already fails the look at Talos.
			var text string

			for _, check := range report.Checks {
				if check.Check == "role" && (check.Result == "ok") != (test.result == "ok") {
					t.Errorf("%+v, want %s", check, test.result)
				}

				if check.Check == "role" || check.Check == "talos" && check.Result == "failed" {
					text += check.Detail + " " + check.Remedy + "\n"
				}
			}

			for _, word := range test.says {
				if !strings.Contains(text, word) {
					t.Errorf("%q does not name %s", text, word)
				}
			}
		})
	}
}

func TestTroubleWithCertificatesIsNamed(t *testing.T) {
	_, bundle, endpoint := overTLS(t)

	foreign, err := newBundle()
	if err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		name  string
		flags []string
		says  string
	}{
		{"certificate of another cluster", tls(t, foreign, endpoint, role.Operator), "certificate"},
		{"expired certificate", []string{"--talos-node", endpoint, "--talos-config", talosconfig(t, bundle, []string{endpoint}, -time.Minute, role.Operator)}, "expired"},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := run(t, append([]string{"talosquery", "--json"}, test.flags...)...)
			if err == nil {
				t.Fatalf("it worked: %s", out)
			}

			var exit *exec.ExitError
			if errors.As(err, &exit) && !strings.Contains(string(exit.Stderr), test.says) {
				t.Errorf("%s does not say %q", exit.Stderr, test.says)
			}
		})
	}
}

// The command lines and environments of the manifests are ours: with them the node is seen, and off VMware the
// agent stays where the manifest wants it to and ends with success where it does not.
func TestTheManifestsRunOurBinary(t *testing.T) {
	judged, bundle, endpoint := overTLS(t)
	path := talosconfig(t, bundle, []string{"talos.default"}, time.Hour, role.Operator)

	built, err := manifests.Build(filesys.MakeFsOnDisk(), filepath.Join(repo.Root(t), "deploy/talosconfig"))
	if err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		name     string
		manifest []byte
		stays    bool
	}{
		{"ours", built, true},
		{"the Go daemon's", []byte(manifests.GoDaemons), false},
	} {
		t.Run(test.name, func(t *testing.T) {
			objects, err := manifests.Decode(test.manifest)
			if err != nil {
				t.Fatal(err)
			}

			container := objects.DaemonSets[0].Spec.Template.Spec.Containers[0]

			var env []string

			for _, variable := range container.Env {
				switch {
				case variable.ValueFrom != nil && variable.ValueFrom.FieldRef.FieldPath == "status.hostIP":
					env = append(env, variable.Name+"="+endpoint)
				case strings.HasPrefix(variable.Value, container.VolumeMounts[0].MountPath+"/"):
					env = append(env, variable.Name+"="+path)
				default:
					env = append(env, variable.Name+"="+variable.Value)
				}
			}

			out, err := command(t, env, "talosquery", "--json").Output()
			if err != nil {
				t.Fatal(err)
			}

			var seen node.Seen
			if err = json.Unmarshal(out, &seen); err != nil {
				t.Fatal(err)
			}

			if err = judged.Compare(t.Context(), &seen); err != nil {
				t.Error(err)
			}

			offVMware(t, env, test.stays)
		})
	}
}

// offVMware starts the daemon as the container would and reads its one line.
func offVMware(t *testing.T, env []string, stays bool) {
	t.Helper()

	if cpu, err := os.ReadFile("/sys/class/dmi/id/sys_vendor"); err == nil && strings.HasPrefix(string(cpu), "VMware") {
		t.Log("this is VMware: what happens elsewhere is NOT JUDGED")

		return
	}

	daemon := command(t, env, "vmtoolsd")

	output, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}

	daemon.Stdout, daemon.Stderr = writer, writer
	if err = daemon.Start(); err != nil {
		t.Fatal(err)
	}

	writer.Close() //nolint:errcheck // the daemon has its own

	reader := bufio.NewReader(output)
	if line, err := reader.ReadString('\n'); err != nil || !strings.Contains(line, "VMware") {
		t.Errorf("says %q: %v", line, err)
	}

	if stays {
		// Its end would close the output; a deadline that passes means that it is still there.
		output.SetReadDeadline(time.Now().Add(2 * time.Second)) //nolint:errcheck

		if _, err = reader.ReadByte(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("does not stay, idle and silent: %v", err)
		}

		daemon.Process.Signal(syscall.SIGTERM) //nolint:errcheck
	}

	if err = daemon.Wait(); err != nil {
		t.Errorf("ends with %v", err)
	}
}

// The judge itself: Talos' own client is refused and let through as a real node would do it.
func TestRolesAreEnforced(t *testing.T) {
	judged, bundle, endpoint := overTLS(t)

	for _, test := range []struct {
		role role.Role
		code codes.Code
	}{{role.Reader, codes.PermissionDenied}, {role.EtcdBackup, codes.PermissionDenied}, {role.Operator, codes.OK}, {role.Admin, codes.OK}} {
		before := judged.Shutdowns.Load()

		talos, err := client.New(t.Context(), client.WithConfigFromFile(talosconfig(t, bundle, []string{endpoint}, time.Hour, test.role)))
		if err != nil {
			t.Fatal(err)
		}

		defer talos.Close() //nolint:errcheck

		if err = talos.Shutdown(t.Context()); status.Code(err) != test.code {
			t.Errorf("%s: %v, want %s", test.role, err, test.code)
		}

		if called := judged.Shutdowns.Load() != before; called != (test.code == codes.OK) {
			t.Errorf("%s: shut down: %t", test.role, called)
		}

		_, err = safe.StateListAll[*network.OperatorSpec](t.Context(), talos.COSI)
		if denied := status.Code(err) == codes.PermissionDenied; denied != (test.role != role.Admin) {
			t.Errorf("%s: a sensitive resource: %v", test.role, err)
		}
	}
}

func onSocket(t *testing.T) (*node.Node, string) {
	t.Helper()

	return served(t, populated(t, "many-links"))
}

// served serves the node on a socket.
func served(t *testing.T, judged *node.Node) (*node.Node, string) {
	t.Helper()

	folder, err := os.MkdirTemp("", "node") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { os.RemoveAll(folder) }) //nolint:errcheck

	stop, err := judged.ServeSocket(filepath.Join(folder, "machine.sock"))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(stop)

	return judged, filepath.Join(folder, "machine.sock")
}

func overTLS(t *testing.T) (*node.Node, *secrets.Bundle, string) {
	t.Helper()

	judged := populated(t, "many-links")

	bundle, err := cluster()
	if err != nil {
		t.Fatal(err)
	}

	endpoint, stop, err := judged.ServeTLS(bundle)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(stop)

	return judged, bundle, endpoint
}

func populated(t *testing.T, layout string) *node.Node {
	t.Helper()

	of, err := node.ReadLayout(layouts(t), layout)
	if err != nil {
		t.Fatalf("%s.yaml: %v", layout, err)
	}

	judged, err := node.New(t.Context(), rules(t), node.Kinds()...)
	if err == nil {
		err = judged.Populate(t.Context(), of)
	}

	if err != nil {
		t.Fatal(err)
	}

	return judged
}

func layouts(t *testing.T) string {
	t.Helper()

	return filepath.Join(repo.Root(t), "tests/layouts")
}

func rules(t *testing.T) map[string]role.Set {
	t.Helper()

	rules, err := node.Rules(repo.Source(t, "github.com/siderolabs/talos"))
	if err != nil {
		t.Fatal(err)
	}

	return rules
}

// cluster is the secrets of the one cluster that all tests share: they take a second to make.
var cluster = sync.OnceValues(newBundle)

func newBundle() (*secrets.Bundle, error) {
	contract, err := config.ParseContractFromVersion(node.Tag)
	if err != nil {
		return nil, err
	}

	return secrets.NewBundle(secrets.NewFixedClock(time.Now().Add(-time.Hour)), contract)
}

func tls(t *testing.T, bundle *secrets.Bundle, endpoint string, held role.Role) []string {
	t.Helper()

	return []string{"--talos-node", endpoint, "--talos-config", talosconfig(t, bundle, []string{endpoint}, time.Hour, held)}
}

// talosconfig writes a talosconfig whose certificate lives until now plus life.
func talosconfig(t *testing.T, bundle *secrets.Bundle, endpoints []string, life time.Duration, held role.Role) string {
	t.Helper()

	// The bundle's clock is an hour behind.
	certificate, err := bundle.GenerateTalosAPIClientCertificateWithTTL(role.MakeSet(held), time.Hour+life)
	if err != nil {
		t.Fatal(err)
	}

	path := filepath.Join(t.TempDir(), "talosconfig")
	if err = clientconfig.NewConfig("default", endpoints, bundle.Certs.OS.Crt, certificate).Save(path); err != nil {
		t.Fatal(err)
	}

	return path
}

func compare(t *testing.T, judged *node.Node, arguments ...string) {
	t.Helper()

	if err := judged.Compare(t.Context(), query(t, arguments...)); err != nil {
		t.Errorf("%s:\n%v", strings.Join(arguments, " "), err)
	}
}

func query(t *testing.T, arguments ...string) *node.Seen {
	t.Helper()

	out, err := run(t, arguments...)
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%s: %v\n%s", strings.Join(arguments, " "), err, exit.Stderr)
		}

		t.Fatal(err)
	}

	var seen node.Seen

	decoder := json.NewDecoder(bytes.NewReader(out))
	if err := decoder.Decode(&seen); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	return &seen
}

// run runs our binary with an environment that has nothing but a trap: proxies must not be used.
func run(t *testing.T, arguments ...string) ([]byte, error) {
	t.Helper()

	return command(t, nil, arguments...).Output()
}

func command(t *testing.T, env []string, arguments ...string) *exec.Cmd {
	t.Helper()

	binary := os.Getenv("TALOS_VMTOOLSD")
	if binary == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("TALOS_VMTOOLSD is not set")
		}

		t.Skip("TALOS_VMTOOLSD is not set: our binary is NOT JUDGED")
	}

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)

	command := exec.CommandContext(ctx, binary, arguments...)
	command.Env = append([]string{"HTTPS_PROXY=http://127.0.0.1:9", "HTTP_PROXY=http://127.0.0.1:9", "ALL_PROXY=socks5://127.0.0.1:9"}, env...)

	return command
}
