// Proxy listens on this machine and carries each connection to a node's Talos API through vSphere's guest operations.
// README.md says how it is used.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/find"
	"github.com/vmware/govmomi/guest/toolbox"
	"github.com/vmware/govmomi/session/keepalive"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"talos-vmtoolsd/guest-operations/tunnel"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("proxy: ")

	vm := flag.String("vm", os.Getenv("GOVC_VM"), "virtual machine, by name or inventory path (GOVC_VM)")
	listen := flag.String("listen", "127.0.0.1:50000", "where to listen")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	if err := run(ctx, *vm, *listen); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, vm, listen string) error {
	name, password, ok := strings.Cut(os.Getenv("GOVC_GUEST_LOGIN"), ":")
	if vm == "" || !ok {
		return errors.New("-vm names the node's virtual machine, GOVC_GUEST_LOGIN=USER:PASSWORD a user of its agent with the right relay")
	}

	node, err := connect(ctx, vm, name, password)
	if err != nil {
		return err
	}

	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}

	context.AfterFunc(ctx, func() { _ = listener.Close() })
	fmt.Printf("%s is at %s\n", vm, listener.Addr())

	err = tunnel.Serve(ctx, listener, node, func(err error) { log.Print(err) })
	if errors.Is(err, net.ErrClosed) {
		return nil
	}

	return err
}

// connect finds the virtual machine, by the variables that govc has as well.
func connect(ctx context.Context, vm, name, password string) (*toolbox.Client, error) {
	address, err := soap.ParseURL(os.Getenv("GOVC_URL"))
	if err != nil || address == nil {
		return nil, fmt.Errorf("GOVC_URL names no vCenter: %w", err)
	}

	if user := os.Getenv("GOVC_USERNAME"); user != "" {
		address.User = url.UserPassword(user, os.Getenv("GOVC_PASSWORD"))
	}

	insecure, _ := strconv.ParseBool(os.Getenv("GOVC_INSECURE"))

	client, err := govmomi.NewClient(ctx, address, insecure)
	if err != nil {
		return nil, fmt.Errorf("vCenter: %w", err)
	}

	// A session without calls ends after half an hour.
	client.RoundTripper = keepalive.NewHandlerSOAP(client.RoundTripper, 10*time.Minute, nil)

	found, err := find.NewFinder(client.Client).VirtualMachine(ctx, vm)
	if err != nil {
		return nil, err
	}

	return toolbox.NewClient(ctx, client.Client, found, &types.NamePasswordAuthentication{Username: name, Password: password})
}
