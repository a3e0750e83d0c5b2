// Package node is a node that Talos' own code makes up: the generated MachineService, COSI's state server over
// a state with Talos' typed resources, and the role check of machined and apid.
//
// Ours are the answers of MachineService and, since Talos keeps it internal, the access policy of the state.
package node

import (
	"context"
	stdx509 "crypto/x509"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cosi-project/runtime/api/v1alpha1"
	"github.com/cosi-project/runtime/pkg/resource"
	"github.com/cosi-project/runtime/pkg/resource/meta"
	"github.com/cosi-project/runtime/pkg/safe"
	"github.com/cosi-project/runtime/pkg/state"
	"github.com/cosi-project/runtime/pkg/state/impl/inmem"
	"github.com/cosi-project/runtime/pkg/state/impl/namespaced"
	"github.com/cosi-project/runtime/pkg/state/protobuf/server"
	"github.com/cosi-project/runtime/pkg/state/registry"
	"github.com/siderolabs/crypto/tls"
	"github.com/siderolabs/crypto/x509"
	"github.com/siderolabs/talos/pkg/grpc/middleware/authz"
	"github.com/siderolabs/talos/pkg/machinery/api/machine"
	"github.com/siderolabs/talos/pkg/machinery/config/generate/secrets"
	"github.com/siderolabs/talos/pkg/machinery/role"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	stdtls "crypto/tls"
)

// Tag is the version that the node says it has.
const Tag = "v1.14.1"

// Node serves the API of one node.
type Node struct {
	machine.UnimplementedMachineServiceServer

	// State holds the resources.
	State state.State
	// Shutdowns and Reboots count the calls that got through.
	Shutdowns, Reboots atomic.Int32

	rules  map[string]role.Set
	layout *Layout
}

// New makes a node whose methods are open to roles as the rules say.
func New(ctx context.Context, rules map[string]role.Set, kinds ...meta.ResourceWithRD) (*Node, error) {
	node := &Node{
		State: state.WrapCore(namespaced.NewState(inmem.Build)),
		rules: rules,
	}

	namespaces := registry.NewNamespaceRegistry(node.State)
	if err := namespaces.RegisterDefault(ctx); err != nil {
		return nil, err
	}

	definitions := registry.NewResourceRegistry(node.State)
	if err := definitions.RegisterDefault(ctx); err != nil {
		return nil, err
	}

	for _, name := range []string{"network", "network-config", "runtime", "config", "hardware", "k8s"} {
		if err := namespaces.Register(ctx, name, name); err != nil {
			return nil, err
		}
	}

	for _, kind := range kinds {
		if err := definitions.Register(ctx, kind); err != nil {
			return nil, err
		}
	}

	return node, nil
}

// ServeSocket serves as machined does on its unix socket: roles are what the client claims in metadata. The
// check of the client's process, machined's since 1.13, is not made.
func (n *Node) ServeSocket(path string) (stop func(), err error) {
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}

	return n.serve(listener, authz.MetadataOnly), nil
}

// ServeTLS serves as apid does on 127.0.0.1, with a certificate of the CA in the bundle and roles from the
// client's. It gives host:port.
func (n *Node) ServeTLS(bundle *secrets.Bundle) (endpoint string, stop func(), err error) {
	ca, err := x509.NewCertificateAuthorityFromCertificateAndKey(bundle.Certs.OS)
	if err != nil {
		return "", nil, err
	}

	pair, err := x509.NewKeyPair(ca,
		x509.IPAddresses([]net.IP{net.IPv4(127, 0, 0, 1)}),
		x509.CommonName("cp1.example.org"),
		x509.NotAfter(time.Now().Add(time.Hour)),
		x509.KeyUsage(stdx509.KeyUsageDigitalSignature),
		x509.ExtKeyUsage([]stdx509.ExtKeyUsage{stdx509.ExtKeyUsageServerAuth}),
	)
	if err != nil {
		return "", nil, err
	}

	certificate, err := stdtls.X509KeyPair(pair.CrtPEM, pair.KeyPEM)
	if err != nil {
		return "", nil, err
	}

	config, err := tls.New(tls.WithClientAuthType(tls.Mutual), tls.WithKeypair(certificate), tls.WithCACertPEM(bundle.Certs.OS.Crt))
	if err != nil {
		return "", nil, err
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}

	return listener.Addr().String(), n.serve(listener, authz.Enabled, grpc.Creds(credentials.NewTLS(config))), nil
}

func (n *Node) serve(listener net.Listener, mode authz.InjectorMode, options ...grpc.ServerOption) func() {
	injector := &authz.Injector{Mode: mode}
	authorizer := &authz.Authorizer{Rules: n.rules, FallbackRoles: role.MakeSet(role.Admin)}

	serving := grpc.NewServer(append(options,
		grpc.ChainUnaryInterceptor(injector.UnaryInterceptor(), authorizer.UnaryInterceptor()),
		grpc.ChainStreamInterceptor(injector.StreamInterceptor(), authorizer.StreamInterceptor()),
	)...)

	machine.RegisterMachineServiceServer(serving, n)
	v1alpha1.RegisterStateServer(serving, server.NewState(state.Filter(n.State, n.policy)))

	go serving.Serve(listener) //nolint:errcheck // ends with Stop

	return serving.Stop
}

// policy refuses writes, kinds and namespaces that are not registered, and sensitive kinds to all but
// administrators, each with PermissionDenied.
func (n *Node) policy(ctx context.Context, access state.Access) error {
	if !access.Verb.Readonly() {
		return status.Error(codes.PermissionDenied, "write access is not allowed")
	}

	definition, err := safe.StateGet[*meta.ResourceDefinition](ctx, n.State,
		resource.NewMetadata(meta.NamespaceName, meta.ResourceDefinitionType, strings.ToLower(access.ResourceType), resource.VersionUndefined))
	if state.IsNotFoundError(err) {
		return status.Error(codes.PermissionDenied, fmt.Sprintf("resource type %q is not supported", access.ResourceType))
	}

	if err != nil {
		return err
	}

	if definition.TypedSpec().Sensitivity != meta.NonSensitive && !authz.HasRole(ctx, role.Admin) {
		return authz.ErrNotAuthorized
	}

	_, err = n.State.Get(ctx, resource.NewMetadata(meta.NamespaceName, meta.NamespaceType, access.ResourceNamespace, resource.VersionUndefined))
	if state.IsNotFoundError(err) {
		return status.Error(codes.PermissionDenied, fmt.Sprintf("namespace %q is not supported", access.ResourceNamespace))
	}

	return err
}

// Version answers as a node on VMware.
func (n *Node) Version(context.Context, *emptypb.Empty) (*machine.VersionResponse, error) {
	return &machine.VersionResponse{Messages: []*machine.Version{{
		Version:  &machine.VersionInfo{Tag: Tag, Os: "linux", Arch: "amd64"},
		Platform: &machine.PlatformInfo{Name: "vmware", Mode: "cloud"},
		Features: &machine.FeaturesInfo{Rbac: true},
	}}}, nil
}

// SystemStat answers with the counters of the machine that the tests run on, which is the agent's.
func (n *Node) SystemStat(context.Context, *emptypb.Empty) (*machine.SystemStatResponse, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil, err
	}

	stat := &machine.SystemStat{}
	counters := map[string]*uint64{"btime": &stat.BootTime, "ctxt": &stat.ContextSwitches, "processes": &stat.ProcessCreated}

	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if counter := counters[name]; counter != nil {
			if *counter, err = strconv.ParseUint(value, 10, 64); err != nil {
				return nil, err
			}
		}
	}

	return &machine.SystemStatResponse{Messages: []*machine.SystemStat{stat}}, nil
}

// Shutdown counts.
func (n *Node) Shutdown(context.Context, *machine.ShutdownRequest) (*machine.ShutdownResponse, error) {
	n.Shutdowns.Add(1)

	return &machine.ShutdownResponse{Messages: []*machine.Shutdown{{ActorId: "1"}}}, nil
}

// Reboot counts.
func (n *Node) Reboot(context.Context, *machine.RebootRequest) (*machine.RebootResponse, error) {
	n.Reboots.Add(1)

	return &machine.RebootResponse{Messages: []*machine.Reboot{{ActorId: "1"}}}, nil
}
