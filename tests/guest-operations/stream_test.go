package guestoperations_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/siderolabs/talos/pkg/machinery/api/common"
	"github.com/siderolabs/talos/pkg/machinery/client"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/guest/toolbox"
	"github.com/vmware/govmomi/vim25/types"

	guestoperations "talos-vmtoolsd/guest-operations"
	"talos-vmtoolsd/guest-operations/tunnel"
	"talos-vmtoolsd/guest-operations/vcenter"
	"talos-vmtoolsd/guest-operations/vmx"
)

// troubles is what a tunnel reports.
type troubles struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (t *troubles) report(err error) {
	t.mutex.Lock()
	defer t.mutex.Unlock()

	t.text.WriteString(err.Error() + "\n")
}

func (t *troubles) String() string {
	t.mutex.Lock()
	defer t.mutex.Unlock()

	return t.text.String()
}

// tunnelled gives the address at which a node's apid is reached through vCenter, as this user.
func tunnelled(t *testing.T, guest *guestoperations.Bridge, name string) (string, *troubles) {
	t.Helper()

	server, err := vcenter.New(guest)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(server.Close)

	ctx := t.Context()

	connection, err := govmomi.NewClient(ctx, server.URL, true)
	if err != nil {
		t.Fatal(err)
	}

	vm, err := find.NewFinder(connection.Client).VirtualMachine(ctx, vcenter.VM)
	if err != nil {
		t.Fatal(err)
	}

	auth := &types.NamePasswordAuthentication{Username: name, Password: password}

	node, err := toolbox.NewClient(ctx, connection.Client, vm, auth)
	if err != nil {
		t.Fatal(err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = listener.Close() })

	reported := new(troubles)

	go func() { _ = tunnel.Serve(ctx, listener, node, reported.report) }()

	return listener.Addr().String(), reported
}

// talos is Talos' own client with its certificate, which trusts the node's authority and no other.
func talos(t *testing.T, guest *guestoperations.Bridge, endpoint string) *client.Client {
	t.Helper()

	pem := map[string][]byte{}

	for _, name := range []string{"ca", "crt", "key"} {
		pem[name] = []byte(control(t, guest, "client "+name))
	}

	pair, err := tls.X509KeyPair(pem["crt"], pem["key"])
	if err != nil {
		t.Fatal(err)
	}

	authority := x509.NewCertPool()
	if !authority.AppendCertsFromPEM(pem["ca"]) {
		t.Fatal("the authority is none")
	}

	config := &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: authority}

	c, err := client.New(t.Context(), client.WithEndpoints(endpoint), client.WithTLSConfig(config))
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() { _ = c.Close() })

	return c
}

// proxied is the same by the proxy that operators run.
func proxied(t *testing.T, guest *guestoperations.Bridge, name string) string {
	t.Helper()

	server, err := vcenter.New(guest)
	if err != nil {
		t.Fatal(err)
	}

	t.Cleanup(server.Close)

	path := filepath.Join(t.TempDir(), "proxy")
	if out, err := exec.Command("go", "build", "-o", path, "./proxy").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}

	proxy := exec.Command(path, "-vm", vcenter.VM, "-listen", "127.0.0.1:0")
	proxy.Env = append(os.Environ(), "GOVC_URL="+server.URL.String(), "GOVC_INSECURE=1", "GOVC_GUEST_LOGIN="+name+":"+password)
	proxy.Stderr = os.Stderr

	out, err := proxy.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}

	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}

	t.Cleanup(func() {
		_ = proxy.Process.Signal(os.Interrupt)

		if err := proxy.Wait(); err != nil {
			t.Errorf("the proxy: %v", err)
		}
	})

	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}

	_, endpoint, ok := strings.Cut(strings.TrimSpace(line), " is at ")
	if !ok {
		t.Fatalf("the proxy says %q", line)
	}

	return endpoint
}

func TestTalosOwnClientReachesApidThroughVCenter(t *testing.T) {
	guest := agent(t)
	c := talos(t, guest, proxied(t, guest, relay))

	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()

	started := time.Now()

	for range 2 {
		version, err := c.Version(ctx)
		if err != nil {
			t.Fatal(err)
		}

		if tag := version.Messages[0].Version.Tag; !strings.HasPrefix(tag, "v1.") {
			t.Errorf("version %q", tag)
		}
	}

	// The roles are those of the client's own certificate, not the agent's.
	if calls := control(t, guest, "apid-calls"); strings.Count(calls, "/machine.MachineService/Version os:operator") != 2 {
		t.Errorf("%s", calls)
	}

	// A long answer comes whole.
	logs, err := c.Logs(ctx, "system", common.ContainerDriver_CONTAINERD, "etcd", false, -1)
	if err != nil {
		t.Fatal(err)
	}

	text, err := client.ReadStream(logs)
	if err != nil {
		t.Fatal(err)
	}

	said, err := io.ReadAll(text)
	if err != nil {
		t.Fatal(err)
	}

	if lines := strings.Count(string(said), "\n"); lines < 2000 {
		t.Errorf("%d lines", lines)
	}

	t.Logf("all of it took %v", time.Since(started))

	if err := c.Close(); err != nil {
		t.Error(err)
	}

	// The program ends with its client.
	ops := as(guest, relay)

	until(t, "the end of the program", func() bool {
		list, err := ops.Processes()
		wants(t, "processes", err, nil)

		return !slices.ContainsFunc(list, func(process vmx.Process) bool { return process.End == 0 })
	})
}

func TestANodeWithoutApidSaysSoThroughTheTunnel(t *testing.T) {
	guest := agent(t)
	control(t, guest, "apid stop")

	endpoint, reported := tunnelled(t, guest, relay)

	connection, err := net.Dial("tcp", endpoint)
	if err != nil {
		t.Fatal(err)
	}

	defer func() { _ = connection.Close() }()

	_ = connection.SetDeadline(time.Now().Add(soon))

	if length, err := connection.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came", length)
	}

	until(t, "the reason", func() bool { return strings.Contains(reported.String(), "code 1: ") })
}

func TestWhenApidEndsAConnectionItsClientSeesTheEnd(t *testing.T) {
	guest := agent(t)
	endpoint, reported := tunnelled(t, guest, relay)

	connection, err := net.Dial("tcp", endpoint)
	if err != nil {
		t.Fatal(err)
	}

	defer func() { _ = connection.Close() }()

	until(t, "the connection", func() bool { return control(t, guest, "apid-connections") == "1" })
	control(t, guest, "apid stop")

	_ = connection.SetDeadline(time.Now().Add(soon))

	if _, err := connection.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("instead of the end: %v", err)
	}

	if text := reported.String(); text != "" {
		t.Errorf("the end is reported as trouble: %s", text)
	}
}

func TestWithoutTheRightRelayThereIsNoTunnel(t *testing.T) {
	guest := agent(t)
	endpoint, reported := tunnelled(t, guest, user)

	connection, err := net.Dial("tcp", endpoint)
	if err != nil {
		t.Fatal(err)
	}

	defer func() { _ = connection.Close() }()

	_ = connection.SetDeadline(time.Now().Add(soon))

	if length, err := connection.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes came", length)
	}

	until(t, "the refusal", func() bool { return strings.Contains(reported.String(), "start apid.Stream") })

	if accepted := control(t, guest, "apid-connections"); accepted != "0" {
		t.Errorf("%s connections", accepted)
	}
}

// until asks until it is so.
func until(t *testing.T, what string, isSo func() bool) {
	t.Helper()

	for end := time.Now().Add(soon); !isSo(); time.Sleep(poll) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come", what)
		}
	}
}
